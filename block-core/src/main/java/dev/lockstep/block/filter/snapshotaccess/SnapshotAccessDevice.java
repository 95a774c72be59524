package dev.lockstep.block.filter.snapshotaccess;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.List;

/// Reads what a filter has kept.
final class SnapshotAccessDevice extends FilterDevice {
    private final SnapshotSource source;

    SnapshotAccessDevice(Gate filter, SnapshotSource source) {
        super(filter);
        this.source = source;
    }

    @Override
    public String description() {
        return "snapshot of " + child.description();
    }

    @Override
    public Capabilities capabilities() {
        return super.capabilities().asReadOnly();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        source.snapshot().read(offset, target);
        source.snapshot();
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        boolean done = source.snapshot().readNow(offset, target);
        source.snapshot();
        return done;
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        return source.snapshot().extents(offset, length);
    }

    /// Nothing was written here.
    @Override
    public void flush() {}
}
