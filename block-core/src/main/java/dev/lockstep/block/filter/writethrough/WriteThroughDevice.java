package dev.lockstep.block.filter.writethrough;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.Set;

/// Makes every write and every zero durable before it returns.
public final class WriteThroughDevice extends FilterDevice {
    /// A filter above a device.
    public WriteThroughDevice(Gate child) {
        super(child);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        child.write(offset, source, durable(flags));
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        child.zero(offset, length, durable(flags));
    }

    /// Waiting for the disk is what this is for.
    @Override
    public boolean writeNow(long offset, ByteBuffer source) {
        return false;
    }

    private static Set<WriteFlag> durable(Set<WriteFlag> flags) {
        Set<WriteFlag> durable = EnumSet.of(WriteFlag.FUA);
        durable.addAll(flags);
        return durable;
    }
}
