package dev.lockstep.block.filter.copybeforewrite;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.filter.snapshotaccess.SnapshotSource;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.overlay.BufferOverlay;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Set;
import java.util.function.Consumer;

/// A filter that preserves the clusters of a disk before they are changed. See the package's
/// description for why that is enough.
public final class CopyBeforeWrite extends FilterDevice implements SnapshotSource {
    private final BufferOverlay before;
    private final Gate snapshot;
    private final OnCbwError onError;
    private final Deadline deadline;
    private final Consumer<BlockException> refused;
    private volatile @Nullable BlockException broken;

    /// A filter above `disk`.
    ///
    /// @param before where old bytes go; its backing device is that of `disk`
    /// @param refused is told each time a request is refused since the old bytes could not be
    ///     preserved, on the request's thread
    public CopyBeforeWrite(Gate disk, BufferOverlay before, Consumer<BlockException> refused) {
        this(disk, before, OnCbwError.BREAK_GUEST_WRITE, Duration.ZERO, refused);
    }

    CopyBeforeWrite(
            Gate disk,
            BufferOverlay before,
            OnCbwError onError,
            Duration timeout,
            Consumer<BlockException> refused) {
        super(disk);
        this.before = before;
        this.snapshot = Gate.readOnly(before);
        this.onError = onError;
        this.deadline = new Deadline(timeout);
        this.refused = refused;
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        preserve(offset, source.remaining());
        child.write(offset, source, flags);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        preserve(offset, length);
        child.zero(offset, length, flags);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        preserve(offset, length);
        child.discard(offset, length);
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return before.preserved(offset, source.remaining()) && child.writeNow(offset, source);
    }

    @Override
    public Gate snapshot() throws BlockException {
        BlockException cause = broken;
        if (cause != null) {
            throw cause.again();
        }
        return snapshot;
    }

    @Override
    public void close() throws BlockException {
        deadline.awaitLate();
    }

    private void preserve(long offset, long length) throws BlockException {
        if (broken != null) {
            return;
        }
        try {
            deadline.await(() -> before.preserve(offset, length));
        } catch (BlockException e) {
            if (onError == OnCbwError.BREAK_SNAPSHOT) {
                String reason =
                        "%s: the snapshot is lost, since old bytes could not be preserved: %s"
                                .formatted(description(), e.getMessage());
                broken = new BlockException(e.kind(), reason, e);
                return;
            }
            String reason =
                    "%s: change of %d bytes at 0x%x refused, the old ones cannot be preserved: %s"
                            .formatted(description(), length, offset, e.getMessage());
            BlockException refusal = new BlockException(e.kind(), reason, e);
            refused.accept(refusal);
            throw refusal;
        }
    }
}
