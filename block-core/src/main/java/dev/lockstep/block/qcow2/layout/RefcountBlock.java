package dev.lockstep.block.qcow2.layout;

import java.nio.ByteBuffer;
import java.util.Arrays;

/// Reference counts of any width within the bytes of a refcount block. Where several share a byte,
/// the first has the least significant bits (section "Host cluster management").
public final class RefcountBlock {
    private RefcountBlock() {}

    /// A refcount. One of 64 bits whose first is set comes out negative.
    ///
    /// @param block the block's bytes from index 0 on
    /// @param index which of them
    /// @param order a refcount has `1 << order` bits
    public static long get(ByteBuffer block, int index, int order) {
        return switch (order) {
            case 0, 1, 2 -> {
                int perByteBits = 3 - order;
                int shift = (index & ((1 << perByteBits) - 1)) << order;
                yield (block.get(index >> perByteBits) >> shift) & ((1 << (1 << order)) - 1);
            }
            case 3 -> Byte.toUnsignedLong(block.get(index));
            case 4 -> Short.toUnsignedLong(block.getShort(index << 1));
            case 5 -> Integer.toUnsignedLong(block.getInt(index << 2));
            default -> block.getLong(index << 3);
        };
    }

    /// The first refcounts of a block.
    public static long[] read(ByteBuffer block, int count, int order) {
        long[] refcounts = new long[count];
        if (order != 4) {
            Arrays.setAll(refcounts, index -> get(block, index, order));
            return refcounts;
        }
        // The usual width, taken all at once.
        short[] words = new short[count];
        block.asShortBuffer().get(words);
        for (int index = 0; index < count; index++) {
            refcounts[index] = Short.toUnsignedLong(words[index]);
        }
        return refcounts;
    }

    /// Changes a refcount to a value that has room there.
    public static void set(ByteBuffer block, int index, int order, long count) {
        switch (order) {
            case 0, 1, 2 -> {
                int perByteBits = 3 - order;
                int at = index >> perByteBits;
                int shift = (index & ((1 << perByteBits) - 1)) << order;
                int mask = ((1 << (1 << order)) - 1) << shift;
                block.put(at, (byte) ((block.get(at) & ~mask) | ((int) count << shift)));
            }
            case 3 -> block.put(index, (byte) count);
            case 4 -> block.putShort(index << 1, (short) count);
            case 5 -> block.putInt(index << 2, (int) count);
            default -> block.putLong(index << 3, count);
        }
    }
}
