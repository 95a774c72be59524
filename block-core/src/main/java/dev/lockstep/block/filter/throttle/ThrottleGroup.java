package dev.lockstep.block.filter.throttle;

import dev.lockstep.block.filter.throttle.Limits.Split;

import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// Limits that several devices keep to together.
public final class ThrottleGroup {
    /// Guards: limits and buckets. Condition: `changed` wakes who waits when the limits change.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private final Direction reads = new Direction();
    private final Direction writes = new Direction();
    private volatile Limits limits;
    private Buckets requests;
    private Buckets bytes;

    /// What is limited apart.
    private static final class Direction {
        /// Held by the one request that is next; fair, so that the members' first requests, which
        /// are all that wait for it, take turns.
        private final ReentrantLock turn = new ReentrantLock(true);
    }

    private record Buckets(Bucket total, Bucket reads, Bucket writes) {
        static Buckets of(Split split, long now) {
            return new Buckets(
                    new Bucket(split.total(), now),
                    new Bucket(split.reads(), now),
                    new Bucket(split.writes(), now));
        }

        List<Bucket> of(boolean write) {
            return List.of(total, write ? writes : reads);
        }
    }

    /// A group with limits.
    public ThrottleGroup(Limits limits) {
        this.limits = limits;
        long now = System.nanoTime();
        requests = Buckets.of(limits.requests(), now);
        bytes = Buckets.of(limits.bytes(), now);
    }

    /// Its limits.
    public Limits limits() {
        return limits;
    }

    /// Puts other limits in place, for who waits now too. What was let in before is forgotten.
    public void limit(Limits changedLimits) {
        lock.lock();
        try {
            limits = changedLimits;
            long now = System.nanoTime();
            requests = Buckets.of(changedLimits.requests(), now);
            bytes = Buckets.of(changedLimits.bytes(), now);
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /// Whether requests of this direction are limited at all.
    boolean isLimited(boolean write) {
        Limits now = limits;
        return isLimited(now.requests(), write) || isLimited(now.bytes(), write);
    }

    private static boolean isLimited(Split split, boolean write) {
        return split.total().isLimited() || (write ? split.writes() : split.reads()).isLimited();
    }

    /// A place in the group for one device.
    Member join() {
        return new Member();
    }

    /// One device of the group.
    final class Member {
        /// Each held by the member's first request of a direction.
        private final ReentrantLock firstRead = new ReentrantLock(true);

        private final ReentrantLock firstWrite = new ReentrantLock(true);

        /// Returns when a request may be made, which is counted.
        void await(boolean write, long length) {
            if (!isLimited(write)) {
                return;
            }
            ReentrantLock first = write ? firstWrite : firstRead;
            first.lock();
            try {
                admitInTurn((write ? writes : reads).turn, write, length);
            } finally {
                first.unlock();
            }
        }
    }

    private void admitInTurn(ReentrantLock turn, boolean write, long length) {
        turn.lock();
        try {
            admit(write, length);
        } finally {
            turn.unlock();
        }
    }

    /// An interrupt does not end the wait: it is kept for whoever looks next.
    private void admit(boolean write, long length) {
        boolean interrupted = false;
        lock.lock();
        try {
            for (long wait = waitNanos(write); wait > 0; wait = waitNanos(write)) {
                try {
                    long _ = changed.awaitNanos(wait);
                } catch (InterruptedException _) {
                    interrupted = true;
                }
            }
            double counted =
                    limits.requestBytes() == 0
                            ? 1
                            : Math.max(1, (double) length / limits.requestBytes());
            requests.of(write).forEach(bucket -> bucket.add(counted));
            bytes.of(write).forEach(bucket -> bucket.add((double) length));
        } finally {
            lock.unlock();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private long waitNanos(boolean write) {
        long now = System.nanoTime();
        long longest = 0;
        for (Buckets buckets : List.of(requests, bytes)) {
            for (Bucket bucket : buckets.of(write)) {
                longest = Math.max(longest, bucket.waitNanos(now));
            }
        }
        return longest;
    }
}
