package dev.lockstep.block.filter.blkverify;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.CopyBuffers;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.RangeLock.Hold;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.nio.ByteBuffer;
import java.util.Set;

/// Does everything twice, and compares what is read.
final class BlkverifyDevice extends FilterDevice {
    private static final Logger LOG = LoggerFactory.getLogger(BlkverifyDevice.class);
    private static final int LOCK_BYTES = 4096;

    private final Gate raw;
    private final RangeLock locks = new RangeLock(LOCK_BYTES);

    BlkverifyDevice(Gate test, Gate raw) throws BlockException {
        super(test);
        this.raw = raw;
        if (raw.size() < test.size()) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s has %d bytes, fewer than the %d of %s that is compared with it"
                            .formatted(
                                    raw.description(),
                                    raw.size(),
                                    test.size(),
                                    test.description()));
        }
    }

    @Override
    public Capabilities capabilities() {
        Capabilities test = child.capabilities();
        return new Capabilities(
                test.readOnly() || raw.capabilities().readOnly(),
                Support.NATIVE,
                test.zero(),
                Support.NONE,
                1,
                false,
                test.preferredBlockSize(),
                test.sharedFlush());
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        ByteBuffer found = target.slice();
        try (Hold _ = locks.shared(offset, found.remaining())) {
            child.read(offset, target);
            compare(offset, found);
        }
    }

    private void compare(long offset, ByteBuffer found) throws BlockException {
        ByteBuffer expected = CopyBuffers.take();
        try {
            for (int at = 0; at < found.limit(); at += expected.limit()) {
                expected.clear().limit(Math.min(expected.capacity(), found.limit() - at));
                raw.read(offset + at, expected);
                int differs = found.slice(at, expected.limit()).mismatch(expected.flip());
                if (differs >= 0) {
                    throw mismatch(offset, found.limit(), offset + at + differs);
                }
            }
        } finally {
            CopyBuffers.giveBack(expected);
        }
    }

    private BlockException mismatch(long offset, int length, long where) {
        BlockException failure =
                BlockException.at(
                        Kind.IO,
                        this,
                        "read",
                        offset,
                        length,
                        "contents mismatch at offset 0x%x: %s has something else there"
                                .formatted(where, raw.description()));
        LOG.error("blkverify: {}", failure.getMessage());
        return failure;
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        ByteBuffer again = source.duplicate();
        try (Hold _ = locks.exclusive(offset, source.remaining())) {
            child.write(offset, source, flags);
            raw.write(offset, again, flags);
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        try (Hold _ = locks.exclusive(offset, length)) {
            child.zero(offset, length, flags);
            raw.zero(offset, length, WriteFlag.without(flags, WriteFlag.FAST));
        }
    }

    @Override
    public void flush() throws BlockException {
        child.flush();
        raw.flush();
    }

    /// Never: two requests are not one step.
    @Override
    public boolean readNow(long offset, ByteBuffer target) {
        return false;
    }

    /// Never: two requests are not one step.
    @Override
    public boolean writeNow(long offset, ByteBuffer source) {
        return false;
    }
}
