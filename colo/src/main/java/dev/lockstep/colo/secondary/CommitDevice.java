package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// The guest's disk while its buffers are committed: active over hidden over the disk file, where
/// everything that changes goes to the disk file.
///
/// **Invariant.** For each cluster, what the guest sees is in the topmost buffer that holds it, or
/// else on the disk. A cluster leaves the buffers only after what the guest is to see of it has
/// been written to the disk, and none ever enters; so a cluster that was once seen to be unbuffered
/// needs no lock at all, and the number of buffered clusters only falls.
///
/// **Locks.** Committing a cluster, and writing to a buffered one, holds it exclusively from
/// reading the merged view to dropping it from both buffers. Reading a buffered one holds it
/// shared.
///
/// A write that fails on the way leaves the cluster in its buffer: the guest goes on reading what
/// it read before.
final class CommitDevice implements BlockDevice {
    private final Gate disk;
    private final Layers layers;
    private final RangeLock locks = new RangeLock(Layers.CLUSTER_BYTES);
    private final CommitProgress progress = new CommitProgress();

    CommitDevice(Gate disk, Layers layers) {
        this.disk = disk;
        this.layers = layers;
    }

    @Override
    public String description() {
        return "failing over " + disk.description();
    }

    @Override
    public long size() {
        return disk.size();
    }

    /// The edge to the disk emulates what the disk lacks, so that all of it is native here: a write
    /// that is to be durable at once must not wait until everything is committed. Over durable
    /// buffers it is durable only once they no longer claim its clusters, so it takes a flush.
    @Override
    public Capabilities capabilities() {
        Capabilities below = disk.capabilities();
        return new Capabilities(
                below.readOnly(),
                layers.isDurable() ? Support.EMULATED : Support.NATIVE,
                Support.NATIVE,
                below.discard(),
                1,
                false,
                below.preferredBlockSize(),
                below.sharedFlush());
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        int length = target.remaining();
        if (!layers.holdsAny(offset, length)) {
            disk.read(offset, target);
            return;
        }
        try (var _ = locks.shared(offset, length)) {
            layers.readMerged(offset, target);
        }
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        int length = source.remaining();
        if (!layers.holdsAny(offset, length)) {
            disk.write(offset, source, flags);
            return;
        }
        try (var _ = locks.exclusive(offset, length)) {
            commitEdges(offset, length);
            disk.write(offset, source, flags);
            layers.drop(offset, length);
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        if (!layers.holdsAny(offset, length)) {
            disk.zero(offset, length, flags);
            return;
        }
        try (var _ = locks.exclusive(offset, length)) {
            commitEdges(offset, length);
            disk.zero(offset, length, flags);
            layers.drop(offset, length);
        }
    }

    /// Discards only what is not buffered: below a buffered cluster lie bytes that this guest must
    /// never see, and dropping the cluster could show them.
    @Override
    public void discard(long offset, long length) throws BlockException {
        if (!layers.holdsAny(offset, length)) {
            disk.discard(offset, length);
        }
    }

    /// What it covers is on stable storage when the disk and durable buffers are; or once volatile
    /// buffers are empty, because they are lost when this process is.
    @Override
    public void flush() throws BlockException {
        if (layers.isDurable()) {
            layers.flush();
        } else {
            progress.awaitDrained();
        }
        disk.flush();
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        if (!layers.holdsAny(offset, length)) {
            return disk.extents(offset, length);
        }
        try (var _ = locks.shared(offset, length)) {
            return layers.extents(offset, length);
        }
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return !layers.holdsAny(offset, target.remaining()) && disk.readNow(offset, target);
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return !layers.holdsAny(offset, source.remaining()) && disk.writeNow(offset, source);
    }

    @Override
    public void close() {}

    /// How far the commit is.
    CommitProgress progress() {
        return progress;
    }

    /// Brings what is buffered of a stretch of clusters onto the disk; `scratch` has room for it.
    void commit(long offset, long length, ByteBuffer scratch) throws BlockException {
        try (var _ = locks.exclusive(offset, length)) {
            long end = offset + length;
            for (Extent run = layers.nextHeld(offset, length);
                    run != null && run.offset() < end;
                    run = layers.nextHeld(run.end(), length)) {
                commitRun(run.offset(), Math.min(end, run.end()), scratch);
            }
        }
    }

    private void commitRun(long start, long end, ByteBuffer scratch) throws BlockException {
        ByteBuffer bytes = scratch.slice(0, (int) (end - start));
        layers.readMerged(start, bytes);
        disk.write(start, bytes.flip(), WriteFlag.NONE);
        layers.drop(start, end - start);
    }

    /// A write covers its first and last cluster in part only: the rest of them goes to the disk
    /// first, so that the whole range can leave the buffers together.
    private void commitEdges(long offset, long length) throws BlockException {
        long end = offset + length;
        long first = clusterStart(offset);
        long last = clusterStart(end - 1);
        if (first < offset || end < clusterEnd(first)) {
            commitEdge(first);
        }
        if (last > first && end < clusterEnd(last)) {
            commitEdge(last);
        }
    }

    private void commitEdge(long start) throws BlockException {
        if (layers.holdsAny(start, clusterEnd(start) - start)) {
            commitRun(
                    start,
                    clusterEnd(start),
                    ByteBuffer.allocateDirect((int) (clusterEnd(start) - start)));
        }
    }

    private static long clusterStart(long offset) {
        return offset / Layers.CLUSTER_BYTES * Layers.CLUSTER_BYTES;
    }

    private long clusterEnd(long start) {
        return Math.min(start + Layers.CLUSTER_BYTES, size());
    }
}
