package dev.lockstep.block.filter.throttle;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.ResizableFilter;

import java.nio.ByteBuffer;
import java.util.Set;

/// Lets requests through at the rates of its group. Zeroes and discards count as writes of their
/// length; flushes and questions for extents are free.
public final class ThrottleDevice extends ResizableFilter {
    private final ThrottleGroup group;
    private final ThrottleGroup.Member member;

    /// A filter above a device, as one more member of a group.
    public ThrottleDevice(BlockDevice child, ThrottleGroup group) {
        super(child);
        this.group = group;
        member = group.join();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        member.await(false, target.remaining());
        super.read(offset, target);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        member.await(true, source.remaining());
        super.write(offset, source, flags);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        member.await(true, length);
        super.zero(offset, length, flags);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        member.await(true, length);
        super.discard(offset, length);
    }

    /// What is limited may have to wait.
    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return !group.isLimited(false) && super.readNow(offset, target);
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return !group.isLimited(true) && super.writeNow(offset, source);
    }
}
