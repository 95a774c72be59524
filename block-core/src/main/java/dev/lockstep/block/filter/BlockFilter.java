package dev.lockstep.block.filter;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Resizable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// A filter that takes whole blocks only, of which its device need know nothing. A device that does
/// not end with a block seems to be longer, by zeroes; it becomes so when they are written.
public abstract class BlockFilter extends FilterDevice implements Resizable {
    private final Gate device;
    private final int block;

    /// A filter above a device, which belongs to who opened it.
    ///
    /// @param block how many bytes every request is a multiple of, a power of two
    protected BlockFilter(Gate device, int block) {
        super(device);
        this.device = device;
        this.block = Math.max(block, device.capabilities().alignment());
    }

    /// Requests are multiples of it.
    protected final int block() {
        return block;
    }

    @Override
    public final long size() {
        return up(device.size());
    }

    private long up(long bytes) {
        return (bytes + block - 1) & -block;
    }

    @Override
    public Capabilities capabilities() {
        Capabilities below = device.capabilities();
        return new Capabilities(
                below.readOnly(),
                below.fua(),
                below.zero(),
                below.discard(),
                block,
                false,
                Math.max(block, below.preferredBlockSize()),
                below.sharedFlush());
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        int end = target.limit();
        target.limit(target.position() + (int) within(offset, target.remaining()));
        device.read(offset, target);
        Zeroes.put(target.limit(end));
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        device.grow(offset + source.remaining());
        device.write(offset, source, flags);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        device.zero(offset, within(offset, length), flags);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        device.discard(offset, within(offset, length));
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        long there = within(offset, length);
        List<Extent> found = new ArrayList<>(device.extents(offset, there));
        if (there < length && found.getLast().end() == offset + there) {
            found.add(Extent.of(offset + there, length - there, Extent.Kind.HOLE));
        }
        return found;
    }

    /// Never: what these filters do may block.
    @Override
    public final boolean readNow(long offset, ByteBuffer target) {
        return false;
    }

    /// Never: what these filters do may block.
    @Override
    public final boolean writeNow(long offset, ByteBuffer source) {
        return false;
    }

    private long within(long offset, long length) {
        return Math.min(length, device.size() - offset);
    }

    @Override
    public final long remeasure() {
        return up(device.remeasure());
    }

    @Override
    public final void resize(long bytes) throws BlockException {
        device.resize(bytes);
    }

    @Override
    public final void grow(long bytes) throws BlockException {
        device.grow(bytes);
    }
}
