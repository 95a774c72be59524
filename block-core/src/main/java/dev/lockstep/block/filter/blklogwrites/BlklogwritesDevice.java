package dev.lockstep.block.filter.blklogwrites;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.RangeLock.Hold;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.BlockFilter;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/// Logs what is written to a disk.
final class BlklogwritesDevice extends BlockFilter {
    private final WriteLog log;
    private final RangeLock locks;
    private final AtomicBoolean closed = new AtomicBoolean();

    BlklogwritesDevice(Gate disk, WriteLog log) {
        super(disk, log.sectorBytes());
        this.log = log;
        locks = new RangeLock(block());
    }

    /// The log tells a write with FUA from one without, whoever carries it out below.
    @Override
    public Capabilities capabilities() {
        Capabilities below = super.capabilities();
        return new Capabilities(
                below.readOnly(),
                Support.NATIVE,
                below.zero(),
                below.discard(),
                below.alignment(),
                below.alignedBuffers(),
                below.preferredBlockSize(),
                below.sharedFlush());
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        ByteBuffer data = source.duplicate();
        try (Hold _ = locks.exclusive(offset, source.remaining())) {
            super.write(offset, source, flags);
            log.write(offset, data, logged(flags));
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        try (Hold _ = locks.exclusive(offset, length)) {
            super.zero(offset, length, flags);
            log.zero(offset, length, logged(flags));
        }
    }

    private static long logged(Set<WriteFlag> flags) {
        return flags.contains(WriteFlag.FUA) ? Entry.FUA : 0;
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        try (Hold _ = locks.exclusive(offset, length)) {
            super.discard(offset, length);
            log.discard(offset, length);
        }
    }

    @Override
    public void flush() throws BlockException {
        log.flush(super::flush);
    }

    @Override
    public void close() throws BlockException {
        if (closed.compareAndSet(false, true)) {
            log.close();
        }
    }
}
