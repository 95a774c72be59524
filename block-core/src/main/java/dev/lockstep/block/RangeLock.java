package dev.lockstep.block;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/// Shared and exclusive locks on ranges of bytes.
///
/// **Order.** Requests are granted in the order in which they arrived as far as they conflict: one
/// waits for every earlier request, holding or waiting, that overlaps it unless both are shared. So
/// a stream of readers never starves a writer, and requests that do not overlap never meet.
///
/// **Deadlock.** The lock is not reentrant: a thread that holds a range never asks for one that
/// overlaps it. A thread that needs several ranges at once asks for them in ascending order. The
/// same holds across two locks: every thread takes them in the same order.
///
/// **Cost.** The holders and waiters are one list, as long as there are requests in flight, which
/// the servers bound; locking walks it once and so does releasing. An uncontended lock and release
/// allocate one object and take one short mutex twice.
public final class RangeLock {
    /// Guards: the list from `oldest` to `newest` and the fields of its holds that say so.
    private final ReentrantLock mutex = new ReentrantLock();

    private final long roundMask;
    private @Nullable Hold oldest;
    private @Nullable Hold newest;

    /// A lock that is exact to the byte.
    public RangeLock() {
        this(1);
    }

    /// A lock whose ranges are widened to multiples of `granularity` bytes, a power of two.
    public RangeLock(int granularity) {
        if (Integer.bitCount(granularity) != 1) {
            throw new IllegalArgumentException("granularity %d".formatted(granularity));
        }
        this.roundMask = granularity - 1L;
    }

    /// Waits until nobody else holds any byte of the range exclusively.
    public Hold shared(long offset, long length) {
        return acquire(offset, length, false);
    }

    /// Waits until nobody else holds any byte of the range.
    public Hold exclusive(long offset, long length) {
        return acquire(offset, length, true);
    }

    /// Like [#shared], but returns null where that would have to wait, or might have to.
    public @Nullable Hold tryShared(long offset, long length) {
        return tryAcquire(offset, length, false);
    }

    /// Like [#exclusive], but returns null where that would have to wait, or might have to.
    public @Nullable Hold tryExclusive(long offset, long length) {
        return tryAcquire(offset, length, true);
    }

    /// How many holders and waiters there are.
    int entries() {
        mutex.lock();
        try {
            int count = 0;
            for (Hold hold = oldest; hold != null; hold = hold.newer) {
                count++;
            }
            return count;
        } finally {
            mutex.unlock();
        }
    }

    private Hold acquire(long offset, long length, boolean exclusive) {
        Hold hold = new Hold(offset, length, exclusive);
        mutex.lock();
        try {
            hold.blockers = conflicts(hold);
            append(hold);
            if (hold.blockers == 0) {
                return hold;
            }
            hold.waiter = Thread.currentThread();
        } finally {
            mutex.unlock();
        }
        hold.awaitGrant();
        return hold;
    }

    private @Nullable Hold tryAcquire(long offset, long length, boolean exclusive) {
        Hold hold = new Hold(offset, length, exclusive);
        if (!mutex.tryLock()) {
            return null;
        }
        try {
            if (conflicts(hold) > 0) {
                return null;
            }
            append(hold);
            return hold;
        } finally {
            mutex.unlock();
        }
    }

    private int conflicts(Hold wanted) {
        int count = 0;
        for (Hold hold = oldest; hold != null; hold = hold.newer) {
            if (hold.conflictsWith(wanted)) {
                count++;
            }
        }
        return count;
    }

    private void append(Hold hold) {
        hold.older = newest;
        if (newest == null) {
            oldest = hold;
        } else {
            newest.newer = hold;
        }
        newest = hold;
    }

    private void release(Hold hold) {
        mutex.lock();
        try {
            if (hold.released) {
                return;
            }
            hold.released = true;
            for (Hold later = hold.newer; later != null; later = later.newer) {
                if (hold.conflictsWith(later) && --later.blockers == 0) {
                    later.grant();
                }
            }
            unlink(hold);
        } finally {
            mutex.unlock();
        }
    }

    private void unlink(Hold hold) {
        Hold before = hold.older;
        Hold after = hold.newer;
        if (before == null) {
            oldest = after;
        } else {
            before.newer = after;
        }
        if (after == null) {
            newest = before;
        } else {
            after.older = before;
        }
    }

    /// A locked range. Closing releases it, from any thread; closing again does nothing.
    public final class Hold implements AutoCloseable {
        private final long start;
        private final long end;
        private final boolean exclusive;
        private @Nullable Hold older;
        private @Nullable Hold newer;
        private boolean released;

        /// How many earlier holds conflict with this one: it is granted at zero.
        private int blockers;

        /// Whoever waits for the grant; null once granted.
        private volatile @Nullable Thread waiter;

        private Hold(long offset, long length, boolean exclusive) {
            this.start = offset & ~roundMask;
            this.end = (offset + length + roundMask) & ~roundMask;
            this.exclusive = exclusive;
        }

        private boolean conflictsWith(Hold other) {
            return start < other.end && other.start < end && (exclusive || other.exclusive);
        }

        private void grant() {
            Thread thread = waiter;
            waiter = null;
            LockSupport.unpark(thread);
        }

        /// An interrupt does not end the wait: the request behind it must not be half done. It is
        /// kept for whoever looks next.
        private void awaitGrant() {
            boolean interrupted = false;
            while (waiter != null) {
                LockSupport.park(RangeLock.this);
                interrupted |= Thread.interrupted();
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }

        @Override
        public void close() {
            release(this);
        }
    }
}
