package dev.lockstep.block.qcow2.table;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/// The refcounts of some clusters as they lie in the file: numbers of 1 to 64 bits, big-endian; of
/// those smaller than a byte, the first has the lowest bits.
///
/// Not safe for use by several threads.
public final class RefcountBlock {
    private static final VarHandle SHORT =
            MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle INT =
            MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle LONG =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

    private final byte[] bytes;
    private final int order;

    /// A view of the bytes of a block.
    ///
    /// @param order each refcount has two to this power bits
    public RefcountBlock(byte[] bytes, int order) {
        this.bytes = bytes;
        this.order = order;
    }

    /// The bytes themselves.
    public byte[] bytes() {
        return bytes;
    }

    /// The refcount of the block's cluster `index`.
    public long get(int index) {
        return switch (order) {
            case 3 -> bytes[index] & 0xff;
            case 4 -> (short) SHORT.get(bytes, index * 2) & 0xffff;
            case 5 -> (int) INT.get(bytes, index * 4) & 0xffff_ffffL;
            case 6 -> (long) LONG.get(bytes, index * 8);
            default -> (bytes[index >> (3 - order)] >> shift(index)) & mask();
        };
    }

    /// Sets the refcount of the block's cluster `index`, which fits its bits.
    public void set(int index, long value) {
        switch (order) {
            case 3 -> bytes[index] = (byte) value;
            case 4 -> SHORT.set(bytes, index * 2, (short) value);
            case 5 -> INT.set(bytes, index * 4, (int) value);
            case 6 -> LONG.set(bytes, index * 8, value);
            default -> {
                int at = index >> (3 - order);
                int cleared = bytes[at] & ~(mask() << shift(index));
                bytes[at] = (byte) (cleared | ((int) value << shift(index)));
            }
        }
    }

    private int shift(int index) {
        return (index & ((8 >> order) - 1)) << order;
    }

    private int mask() {
        return (1 << (1 << order)) - 1;
    }
}
