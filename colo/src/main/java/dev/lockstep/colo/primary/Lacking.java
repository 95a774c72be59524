package dev.lockstep.colo.primary;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// What the peer may lack: every cluster written since the last point that was durable on both
/// sides.
///
/// A write is added once both children are done with it, before it is acknowledged. A flush sets
/// what was added before it aside and begins an empty set; it covers just those writes, so once it
/// has succeeded on both sides that set is forgotten, and otherwise it is taken back.
final class Lacking {
    /// Guards: `flushing`, and every change of `current`.
    private final ReentrantLock lock = new ReentrantLock();

    private final List<ClusterSet> flushing = new ArrayList<>();
    private final long diskBytes;
    private volatile ClusterSet current;

    Lacking(long diskBytes) {
        this.diskBytes = diskBytes;
        this.current = new ClusterSet(diskBytes);
    }

    /// A flush that begins meanwhile may already have set aside, and failed with, the set that this
    /// was added to; so it is added again until that did not happen.
    void add(long offset, long length) {
        ClusterSet set;
        do {
            set = current;
            set.add(offset, length);
        } while (set != current);
    }

    /// Call before either child is flushed.
    ClusterSet beginFlush() {
        lock.lock();
        try {
            ClusterSet before = current;
            current = new ClusterSet(diskBytes);
            flushing.add(before);
            return before;
        } finally {
            lock.unlock();
        }
    }

    /// @param durable whether both children have flushed
    void endFlush(ClusterSet before, boolean durable) {
        lock.lock();
        try {
            flushing.remove(before);
            if (!durable) {
                current.addAll(before);
            }
        } finally {
            lock.unlock();
        }
    }

    /// How many bytes the peer may lack.
    long bytes() {
        lock.lock();
        try {
            ClusterSet all = new ClusterSet(diskBytes);
            all.addAll(current);
            flushing.forEach(all::addAll);
            return all.sizeInBytes();
        } finally {
            lock.unlock();
        }
    }
}
