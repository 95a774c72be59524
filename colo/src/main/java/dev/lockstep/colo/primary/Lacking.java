package dev.lockstep.colo.primary;

import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.nbd.MarkedBytes;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// What the peer may lack: every cluster written since the last point that was durable on both
/// sides, or everything as long as no peer held the whole disk.
///
/// A write is added once both children are done with it, before it is acknowledged. A flush sets
/// what was added before it aside and begins an empty set; it covers just those writes, so once it
/// has succeeded on both sides that set is forgotten, and otherwise it is taken back.
final class Lacking implements MarkedBytes {
    /// The grain at which two disks are compared and copied.
    static final int CLUSTER_BYTES = 64 << 10;

    /// Guards: `flushing`, and every change of `current`.
    private final ReentrantLock lock = new ReentrantLock();

    private final List<ClusterBitmap> flushing = new ArrayList<>();
    private final long diskBytes;
    private volatile ClusterBitmap current;
    private volatile boolean peerHoldsRest;

    Lacking(long diskBytes) {
        this.diskBytes = diskBytes;
        this.current = emptySet(diskBytes);
    }

    /// Says whether what is not in the set is on the peer.
    void peerHolds(boolean rest) {
        peerHoldsRest = rest;
    }

    @Override
    public long nextMarked(long offset) {
        if (!peerHoldsRest) {
            return offset;
        }
        lock.lock();
        try {
            long cluster = current.nextSet(offset / CLUSTER_BYTES);
            for (ClusterBitmap set : flushing) {
                cluster = Math.min(cluster, set.nextSet(offset / CLUSTER_BYTES));
            }
            return Math.max(offset, cluster * CLUSTER_BYTES);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public long nextUnmarked(long offset) {
        if (!peerHoldsRest) {
            return diskBytes;
        }
        lock.lock();
        try {
            long cluster = offset / CLUSTER_BYTES;
            long before;
            do {
                before = cluster;
                cluster = current.nextClear(cluster);
                for (ClusterBitmap set : flushing) {
                    cluster = set.nextClear(cluster);
                }
            } while (cluster != before);
            return Math.max(offset, cluster * CLUSTER_BYTES);
        } finally {
            lock.unlock();
        }
    }

    /// No cluster of a disk.
    static ClusterBitmap emptySet(long diskBytes) {
        return new ClusterBitmap((diskBytes + CLUSTER_BYTES - 1) / CLUSTER_BYTES);
    }

    /// Adds every cluster that the range of bytes touches.
    static void add(ClusterBitmap set, long offset, long length) {
        set.set(offset / CLUSTER_BYTES, (offset + length - 1) / CLUSTER_BYTES + 1);
    }

    /// A flush that begins meanwhile may already have set aside, and failed with, the set that this
    /// was added to; so it is added again until that did not happen.
    void add(long offset, long length) {
        ClusterBitmap set;
        do {
            set = current;
            add(set, offset, length);
        } while (set != current);
    }

    /// Call before either child is flushed.
    ClusterBitmap beginFlush() {
        lock.lock();
        try {
            ClusterBitmap before = current;
            current = emptySet(diskBytes);
            flushing.add(before);
            return before;
        } finally {
            lock.unlock();
        }
    }

    /// @param durable whether both children have flushed
    void endFlush(ClusterBitmap before, boolean durable) {
        lock.lock();
        try {
            flushing.remove(before);
            if (!durable) {
                current.setAll(before);
            }
        } finally {
            lock.unlock();
        }
    }

    /// How many bytes the peer may lack.
    long bytes() {
        lock.lock();
        try {
            ClusterBitmap all = emptySet(diskBytes);
            all.setAll(current);
            flushing.forEach(all::setAll);
            return all.count() * CLUSTER_BYTES;
        } finally {
            lock.unlock();
        }
    }
}
