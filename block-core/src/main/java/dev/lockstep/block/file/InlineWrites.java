package dev.lockstep.block.file;

import java.util.concurrent.atomic.AtomicInteger;

/// Guesses whether a write to the page cache would return at once.
///
/// Buffered writes have no way of saying "only if you need not wait". But they wait in few cases:
/// for another request that holds the file's lock in the kernel, and when too much of the cache is
/// dirty. The first is known here, since all requests pass here. The second lasts for a while once
/// it has begun: so a write that took long is followed by a pause in which none is tried.
final class InlineWrites {
    /// Above this a write counts as one that waited. Copying 64 KiB takes some 20 us; waiting for a
    /// disk takes milliseconds.
    private static final long WAITED_NANOS = 1_000_000;

    private static final long PAUSE_MIN_NANOS = 10_000_000;
    private static final long PAUSE_MAX_NANOS = 1_000_000_000;

    /// Requests under way that may hold the file's lock while they wait for the disk.
    private final AtomicInteger slowRequests = new AtomicInteger();

    /// Before this time no write is tried. Threads that race to set it differ by microseconds.
    private volatile long pausedUntilNanos = System.nanoTime();

    private volatile long pauseNanos = PAUSE_MIN_NANOS;

    /// Whether a write may be tried at this time.
    boolean mayTry(long nowNanos) {
        return slowRequests.get() == 0 && nowNanos - pausedUntilNanos >= 0;
    }

    /// Learns from a write that was tried. Waiting again soon after a pause doubles the next one.
    void tried(long beginNanos, long endNanos) {
        if (endNanos - beginNanos < WAITED_NANOS) {
            return;
        }
        boolean again = beginNanos - pausedUntilNanos < pauseNanos;
        pauseNanos = again ? Math.min(2 * pauseNanos, PAUSE_MAX_NANOS) : PAUSE_MIN_NANOS;
        pausedUntilNanos = endNanos + pauseNanos;
    }

    void slowRequestBegins() {
        slowRequests.getAndIncrement();
    }

    void slowRequestEnds() {
        slowRequests.getAndDecrement();
    }
}
