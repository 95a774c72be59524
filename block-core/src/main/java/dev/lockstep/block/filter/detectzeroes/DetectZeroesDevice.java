package dev.lockstep.block.filter.detectzeroes;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.ResizableFilter;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.EnumSet;
import java.util.Set;

/// Turns writes of nothing but zeroes into zeroes.
public final class DetectZeroesDevice extends ResizableFilter {
    private final boolean mayUnmap;

    /// A filter above a device.
    ///
    /// @param mayUnmap whether the zeroes may release the space
    public DetectZeroesDevice(Gate child, boolean mayUnmap) {
        super(child);
        this.mayUnmap = mayUnmap;
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        if (!isZero(source)) {
            child.write(offset, source, flags);
            return;
        }
        Set<WriteFlag> zeroing = EnumSet.noneOf(WriteFlag.class);
        zeroing.addAll(flags);
        if (mayUnmap) {
            zeroing.add(WriteFlag.MAY_UNMAP);
        }
        child.zero(offset, source.remaining(), zeroing);
        source.position(source.limit());
    }

    /// Zeroing may block, so that a write of zeroes is declined.
    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return !isZero(source) && child.writeNow(offset, source);
    }

    private static boolean isZero(ByteBuffer source) {
        ByteBuffer bytes = source.duplicate().order(ByteOrder.nativeOrder());
        while (bytes.remaining() >= Long.BYTES) {
            if (bytes.getLong() != 0) {
                return false;
            }
        }
        while (bytes.hasRemaining()) {
            if (bytes.get() != 0) {
                return false;
            }
        }
        return true;
    }
}
