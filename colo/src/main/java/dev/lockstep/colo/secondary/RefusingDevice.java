package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// What the guest sees while there is nothing to show: a disk of the right size that answers every
/// request with an I/O error.
record RefusingDevice(String description, long size, Capabilities capabilities, String reason)
        implements BlockDevice {
    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        throw refused("read", offset, target.remaining());
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        throw refused("write", offset, source.remaining());
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        throw refused("zero", offset, length);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        throw refused("discard", offset, length);
    }

    @Override
    public void flush() throws BlockException {
        throw refused("flush", 0, size);
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        throw refused("extents", offset, length);
    }

    @Override
    public void close() {}

    private BlockException refused(String operation, long offset, long length) {
        return BlockException.at(Kind.IO, this, operation, offset, length, reason);
    }
}
