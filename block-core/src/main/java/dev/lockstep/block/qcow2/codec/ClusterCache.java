package dev.lockstep.block.qcow2.codec;

import dev.lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// The clusters that were decompressed last, by where their compressed bytes lie in the file. QEMU
/// has no such thing, and so inflates a cluster of 64 KiB sixteen times for a guest that reads it
/// in pages.
///
/// A cluster is kept in a slot, which is allocated once. A reader pins the slot while it copies out
/// of it; who comes for a cluster that is being decompressed waits for that. If all slots are
/// pinned, a reader waits for one: who holds a slot never waits for another, so that ends.
final class ClusterCache {
    /// The memory of one image: 256 clusters of the usual size, 8 of the largest.
    static final int BYTES_MAX = 16 << 20;

    private final int clusterBytes;

    /// Guards: slots, idle, made, and every slot's users and key. `unpinned` wakes who waits for a
    /// slot.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition unpinned = lock.newCondition();

    /// The least recently used first.
    private final Map<Long, Slot> slots = new LinkedHashMap<>(16, 0.75f, true);

    private final Deque<Slot> idle = new ArrayDeque<>();
    private int made;

    /// Where a cluster comes from.
    @FunctionalInterface
    interface Loader {
        /// Fills the buffer.
        void load(ByteBuffer cluster) throws BlockException;
    }

    ClusterCache(int clusterBytes) {
        this.clusterBytes = clusterBytes;
    }

    /// Copies a part of a cluster, which is loaded if it is not here.
    ///
    /// @param from where in the cluster the part begins
    void read(long key, int from, ByteBuffer target, Loader loader) throws BlockException {
        Slot slot = pin(key);
        try {
            ByteBuffer cluster = slot.loaded(loader);
            target.put(cluster.slice(from, target.remaining()));
        } finally {
            unpin(slot);
        }
    }

    /// Copies a part of a cluster if it is here.
    boolean readIfPresent(long key, int from, ByteBuffer target) {
        Slot slot;
        lock.lock();
        try {
            slot = slots.get(key);
            if (slot == null || !slot.full) {
                return false;
            }
            slot.users++;
        } finally {
            lock.unlock();
        }
        target.put(slot.bytes.slice(from, target.remaining()));
        unpin(slot);
        return true;
    }

    /// Something else will lie there from now on. Nobody reads the old cluster any more.
    void forget(long key) {
        lock.lock();
        try {
            Slot slot = slots.remove(key);
            if (slot != null && slot.users == 0) {
                idle.push(slot);
                unpinned.signal();
            }
        } finally {
            lock.unlock();
        }
    }

    private Slot pin(long key) {
        lock.lock();
        try {
            while (true) {
                Slot found = slots.get(key);
                if (found != null) {
                    found.users++;
                    return found;
                }
                Slot free = free();
                if (free != null) {
                    free.reuse(key);
                    slots.put(key, free);
                    return free;
                }
                unpinned.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
    }

    private @Nullable Slot free() {
        if (!idle.isEmpty()) {
            return idle.pop();
        }
        if (made < Math.max(1, BYTES_MAX / clusterBytes)) {
            made++;
            return new Slot(ByteBuffer.allocateDirect(clusterBytes));
        }
        for (Slot slot : slots.values()) {
            if (slot.users == 0) {
                slots.remove(slot.key);
                return slot;
            }
        }
        return null;
    }

    /// A slot whose cluster could not be loaded, or was forgotten meanwhile, is idle afterwards.
    private void unpin(Slot slot) {
        lock.lock();
        try {
            if (--slot.users > 0) {
                return;
            }
            if (!slot.full) {
                slots.remove(slot.key, slot);
            }
            if (slots.get(slot.key) != slot) {
                idle.push(slot);
            }
            unpinned.signal();
        } finally {
            lock.unlock();
        }
    }

    private static final class Slot {
        final ByteBuffer bytes;

        /// Guards: filling `bytes`. Held while a cluster is read from the file and decompressed.
        private final ReentrantLock loading = new ReentrantLock();

        volatile boolean full;
        long key;
        int users;

        Slot(ByteBuffer bytes) {
            this.bytes = bytes;
        }

        void reuse(long newKey) {
            key = newKey;
            users = 1;
            full = false;
        }

        /// The cluster. Who finds that another could not load it tries for itself.
        ByteBuffer loaded(Loader loader) throws BlockException {
            if (!full) {
                loading.lock();
                try {
                    if (!full) {
                        loader.load(bytes.clear());
                        full = true;
                    }
                } finally {
                    loading.unlock();
                }
            }
            return bytes;
        }
    }
}
