package dev.lockstep.block.filter;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// Passes everything on to one device. A filter overrides what its idea is about.
///
/// A filter that means to see every read or write overrides [#readNow] or [#writeNow] too: they are
/// passed on as well, so that a filter costs nothing where it has nothing to say.
public abstract class FilterDevice implements BlockDevice {
    /// What everything is passed on to: a [dev.lockstep.block.graph.Gate], unless somebody else has
    /// the gate.
    protected final BlockDevice child;

    /// A filter above a device, which belongs to who opened it.
    protected FilterDevice(BlockDevice child) {
        this.child = child;
    }

    @Override
    public String description() {
        return child.description();
    }

    @Override
    public long size() {
        return child.size();
    }

    @Override
    public Capabilities capabilities() {
        return child.capabilities();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        child.read(offset, target);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        child.write(offset, source, flags);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        child.zero(offset, length, flags);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        child.discard(offset, length);
    }

    @Override
    public void flush() throws BlockException {
        child.flush();
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        return child.extents(offset, length);
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return child.readNow(offset, target);
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return child.writeNow(offset, source);
    }

    /// Does nothing: the child belongs to who opened it.
    @Override
    public void close() throws BlockException {}
}
