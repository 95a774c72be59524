package dev.lockstep.block.filter.copybeforewrite;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.overlay.BufferOverlay;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/// A filter that preserves the clusters of a disk before they are changed. See the package's
/// description for why that is enough.
public final class CopyBeforeWrite implements BlockDevice {
    private final Gate disk;
    private final BufferOverlay before;
    private final Consumer<BlockException> refused;

    /// A filter above `disk`.
    ///
    /// @param before where old bytes go; its backing device is that of `disk`
    /// @param refused is told each time a request is refused since the old bytes could not be
    ///     preserved, on the request's thread
    public CopyBeforeWrite(Gate disk, BufferOverlay before, Consumer<BlockException> refused) {
        this.disk = disk;
        this.before = before;
        this.refused = refused;
    }

    @Override
    public String description() {
        return disk.description();
    }

    @Override
    public long size() {
        return disk.size();
    }

    @Override
    public Capabilities capabilities() {
        return disk.capabilities();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        disk.read(offset, target);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        preserve(offset, source.remaining());
        disk.write(offset, source, flags);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        preserve(offset, length);
        disk.zero(offset, length, flags);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        preserve(offset, length);
        disk.discard(offset, length);
    }

    @Override
    public void flush() throws BlockException {
        disk.flush();
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        return disk.extents(offset, length);
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return disk.readNow(offset, target);
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return before.holds(offset, source.remaining()) && disk.writeNow(offset, source);
    }

    @Override
    public void close() {}

    private void preserve(long offset, long length) throws BlockException {
        try {
            before.preserve(offset, length);
        } catch (BlockException e) {
            String reason =
                    "%s: change of %d bytes at 0x%x refused, the old ones cannot be preserved: %s"
                            .formatted(description(), length, offset, e.getMessage());
            BlockException refusal = new BlockException(e.kind(), reason, e);
            refused.accept(refusal);
            throw refusal;
        }
    }
}
