package dev.lockstep.block.file;

import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;

/// Makes writes to the page cache as long as they return at once.
///
/// Buffered writes have no way of saying "only if you need not wait". But they wait in few cases:
/// for another request that holds the file's lock in the kernel, and when too much of the cache is
/// dirty. The first is known here, since all requests pass here. The second lasts for a while once
/// it has begun: so a write that waited is followed by a pause in which none is tried.
///
/// A write may also take long because the thread lost its core, which on a busy machine is common
/// and says nothing about the disk. The kernel counts how often a thread waited of its own accord,
/// but asking costs as much as a tenth of a write. So a long write arouses suspicion, and only
/// while there is suspicion the count is asked for; what shows in it leads to a pause. The pause is
/// many times the wait, so that a disk that hangs takes little of its thread's time.
///
/// A virtual thread that waits here takes its carrier with it. So few of them write at a time, and
/// one carrier always stays for the others.
final class InlineWrites {
    /// Above this a write may have waited. Copying 64 KiB takes some 20 us; waiting for a disk
    /// takes milliseconds.
    private static final long LONG_NANOS = 1_000_000;

    /// Nobody is kept from a core for so long: no need for a second look.
    private static final long SURELY_WAITED_NANOS = 100_000_000;

    private static final long SUSPICION_NANOS = 1_000_000_000;
    private static final long PAUSE_MIN_NANOS = 10_000_000;

    /// How far pauses are doubled. When the cache has room again, this much time is lost at most.
    private static final long DOUBLED_PAUSE_MAX_NANOS = 1_000_000_000;

    /// A thread loses at most a tenth of its time to waits.
    private static final long PAUSE_TO_WAIT = 10;

    private static final Semaphore SPARE_CARRIERS =
            new Semaphore(Runtime.getRuntime().availableProcessors() - 1);

    /// Requests under way that may hold the file's lock while they wait for the disk.
    private final AtomicInteger slowRequests = new AtomicInteger();

    /// Before this time no write is tried. Threads that race to set these times are apart by no
    /// more than a write.
    private volatile long pausedUntilNanos = System.nanoTime();

    private volatile long suspectedUntilNanos = pausedUntilNanos;
    private volatile long pauseNanos = PAUSE_MIN_NANOS;

    /// Writes if that probably does not wait.
    ///
    /// @return how many bytes were written; negative if none
    long write(int fd, long address, long length, long offset) {
        long begin = System.nanoTime();
        if (slowRequests.get() != 0 || begin - pausedUntilNanos < 0) {
            return -1;
        }
        if (!Thread.currentThread().isVirtual()) {
            return writeAndLearn(begin, fd, address, length, offset);
        }
        if (!SPARE_CARRIERS.tryAcquire()) {
            return -1;
        }
        try {
            return writeAndLearn(begin, fd, address, length, offset);
        } finally {
            SPARE_CARRIERS.release();
        }
    }

    private long writeAndLearn(long begin, int fd, long address, long length, long offset) {
        boolean suspected = begin - suspectedUntilNanos < 0;
        long waitsBefore = suspected ? Posix.waitsOfThread() : 0;
        long written = Posix.pwriteNow(fd, address, length, offset);
        long end = System.nanoTime();
        if (end - begin >= LONG_NANOS) {
            suspectedUntilNanos = end + SUSPICION_NANOS;
            if (end - begin >= SURELY_WAITED_NANOS
                    || (suspected && Posix.waitsOfThread() != waitsBefore)) {
                pause(begin, end);
            }
        }
        return written;
    }

    void slowRequestBegins() {
        slowRequests.getAndIncrement();
    }

    void slowRequestEnds() {
        slowRequests.getAndDecrement();
    }

    /// Waiting again soon after a pause doubles the next one.
    private void pause(long beginNanos, long endNanos) {
        boolean again = beginNanos - pausedUntilNanos < pauseNanos;
        long doubled = again ? Math.min(2 * pauseNanos, DOUBLED_PAUSE_MAX_NANOS) : PAUSE_MIN_NANOS;
        pauseNanos = Math.max(doubled, PAUSE_TO_WAIT * (endNanos - beginNanos));
        pausedUntilNanos = endNanos + pauseNanos;
        suspectedUntilNanos = pausedUntilNanos + SUSPICION_NANOS;
    }
}
