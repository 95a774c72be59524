package dev.lockstep.block.job;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Resizable;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// What of a recorded disk lies behind a place: a file that can grow.
final class Tail extends FilterDevice implements Resizable {
    private final RecordingDevice disk;
    private final long start;

    Tail(RecordingDevice disk, long start) {
        super(disk);
        this.disk = disk;
        this.start = start;
    }

    @Override
    public long size() {
        return disk.size() - start;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        super.read(start + offset, target);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        super.write(start + offset, source, flags);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        super.zero(start + offset, length, flags);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        super.discard(start + offset, length);
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        return super.extents(start + offset, length).stream()
                .map(e -> Extent.of(e.offset() - start, e.length(), e.kind()))
                .toList();
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) {
        return false;
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) {
        return false;
    }

    @Override
    public long remeasure() {
        return size();
    }

    @Override
    public void resize(long bytes) throws BlockException {
        disk.resize(start + bytes);
    }

    @Override
    public void grow(long bytes) throws BlockException {
        disk.grow(start + bytes);
    }
}
