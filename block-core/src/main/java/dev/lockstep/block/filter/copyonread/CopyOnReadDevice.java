package dev.lockstep.block.filter.copyonread;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.CopyBuffers;
import dev.lockstep.block.Extent;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.RangeLock.Hold;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.filter.ResizableFilter;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.graph.StepObserver;

import java.nio.ByteBuffer;
import java.util.Set;

/// Copies what is read, in whole blocks of the device's preferred size, where a layer below the
/// device provides it.
///
/// A copy holds its blocks exclusively from looking for them to having written them, and writes
/// hold theirs shared: a write that ended is never undone by a copy. If a copy cannot be written,
/// because the disk is full for instance, the read succeeds all the same.
public final class CopyOnReadDevice extends ResizableFilter {
    private final Gate device;
    private final int block;
    private final int bottom;
    private final RangeLock locks;
    private final StepObserver observer;

    /// A filter above a device that has layers below it.
    public CopyOnReadDevice(Gate device) {
        this(device, Integer.MAX_VALUE);
    }

    /// A filter that copies from some of them.
    ///
    /// @param bottom the lowest layer whose data is copied; the device's own is 1
    public CopyOnReadDevice(Gate device, int bottom) {
        super(device);
        this.device = device;
        this.bottom = bottom;
        block = Math.min(CopyBuffers.BYTES, device.capabilities().preferredBlockSize());
        locks = new RangeLock(block);
        observer = StepObserver.below(device);
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        long end = offset + target.remaining();
        for (long at = offset; at < end && !device.capabilities().readOnly(); ) {
            Extent extent = device.extents(at, end - at).getFirst();
            if (isCopied(extent)) {
                copy(at, extent.end());
            }
            at = extent.end();
        }
        device.read(offset, target);
    }

    /// Blocks that are there need no copy, which takes a look at the extents: too long for this.
    @Override
    public boolean readNow(long offset, ByteBuffer target) {
        return false;
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        try (Hold _ = locks.shared(offset, source.remaining())) {
            device.write(offset, source, flags);
        }
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        try (Hold hold = locks.tryShared(offset, source.remaining())) {
            return hold != null && device.writeNow(offset, source);
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        try (Hold _ = locks.shared(offset, length)) {
            device.zero(offset, length, flags);
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        try (Hold _ = locks.shared(offset, length)) {
            device.discard(offset, length);
        }
    }

    private boolean isCopied(Extent extent) {
        return extent.depth() > 1 && extent.depth() <= bottom;
    }

    private void copy(long from, long to) {
        long last = Math.min((to + block - 1) & -block, size());
        ByteBuffer buffer = CopyBuffers.take();
        try {
            for (long at = from & -block; at < last; at += buffer.limit()) {
                buffer.clear().limit((int) Math.min(buffer.capacity(), last - at));
                copyLocked(at, buffer);
            }
        } catch (BlockException _) {
            // What was read is not kept, which nobody was promised.
        } finally {
            CopyBuffers.giveBack(buffer);
        }
    }

    /// Copies what is still provided by a layer below.
    private void copyLocked(long offset, ByteBuffer buffer) throws BlockException {
        int length = buffer.remaining();
        try (Hold _ = locks.exclusive(offset, length)) {
            for (long at = offset; at < offset + length; ) {
                Extent extent = device.extents(at, offset + length - at).getFirst();
                if (isCopied(extent)) {
                    buffer.clear().limit((int) extent.length());
                    device.read(at, buffer);
                    observer.before(Step.COR_WRITE);
                    keep(at, buffer.flip());
                }
                at = extent.end();
            }
        }
        buffer.clear().limit(length);
    }

    /// Zeroes take no room, if the device can have it so.
    private void keep(long offset, ByteBuffer bytes) throws BlockException {
        if (Zeroes.fill(bytes)) {
            device.zero(offset, bytes.remaining(), WriteFlag.UNMAP);
        } else {
            device.write(offset, bytes, WriteFlag.NONE);
        }
    }
}
