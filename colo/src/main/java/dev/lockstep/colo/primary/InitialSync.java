package dev.lockstep.colo.primary;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/// Copies the whole local disk of a pair to the peer that is attached, while the guest runs.
///
/// A copy step holds its range from the local read to the peer's reply, and a write holds its range
/// until it is on both disks, so neither can put old bytes over new ones. What the peer held before
/// is unknown, so zeroes are sent too, as zeroes that may unmap: whole windows of them at once, and
/// the guest's writes wait no longer than one request takes.
final class InitialSync {
    /// One request: large enough that the network and not the number of requests is the limit,
    /// small enough that a guest's write behind it waits a millisecond on a link of 10 Gbit/s.
    static final int STEP_BYTES = 1 << 20;

    /// Requests in flight. Their buffers, 4 MiB in all, are the memory of a sync.
    static final int STEPS_IN_FLIGHT = 4;

    /// How much one worker takes at once, and how much is zeroed in one request where there is
    /// nothing but zeroes. An image of 1 TiB with nothing in it is 65536 requests.
    static final int WINDOW_BYTES = 16 << 20;

    private final PairDevice pair;
    private final AtomicLong nextWindow = new AtomicLong();
    private final AtomicLong done = new AtomicLong();
    private final AtomicReference<@Nullable BlockException> stopped = new AtomicReference<>();

    /// A sync that [#run] runs once.
    InitialSync(PairDevice pair) {
        this.pair = pair;
    }

    /// Copies everything. On return the peer holds all that the local disk holds.
    ///
    /// @throws BlockException if a local read failed, the peer failed, or the sync was cancelled;
    ///     the peer is then no copy of anything
    void run() throws BlockException {
        List<Thread> workers = new ArrayList<>();
        for (int i = 0; i < STEPS_IN_FLIGHT; i++) {
            workers.add(Thread.ofVirtual().name("sync-" + i).start(this::work));
        }
        for (Thread worker : workers) {
            join(worker);
        }
        BlockException cause = stopped.get();
        if (cause != null) {
            throw cause;
        }
        pair.copied();
    }

    /// Ends the copy soon. Its requests in flight are waited for by [#run].
    void cancel(String reason) {
        stopped.compareAndSet(null, new BlockException(Kind.GONE, reason));
    }

    /// How many bytes have been copied.
    long doneBytes() {
        return done.get();
    }

    private void work() {
        ByteBuffer buffer = ByteBuffer.allocateDirect(STEP_BYTES);
        try {
            for (long at = takeWindow(); at < pair.size(); at = takeWindow()) {
                copyWindow(at, Math.min(WINDOW_BYTES, pair.size() - at), buffer);
            }
        } catch (BlockException e) {
            stopped.compareAndSet(null, e);
        } catch (RuntimeException e) {
            stopped.compareAndSet(null, new BlockException(Kind.IO, "the copy failed: " + e, e));
        }
    }

    private long takeWindow() {
        return nextWindow.getAndAdd(WINDOW_BYTES);
    }

    private void copyWindow(long offset, long length, ByteBuffer buffer) throws BlockException {
        if (stopped.get() == null && pair.copyZeroes(offset, length)) {
            done.addAndGet(length);
            return;
        }
        for (long at = 0; at < length && stopped.get() == null; at += STEP_BYTES) {
            int step = (int) Math.min(STEP_BYTES, length - at);
            pair.copy(offset + at, step, buffer);
            done.addAndGet(step);
        }
    }

    /// The workers end by themselves; an interrupt is kept for whoever looks next.
    private static void join(Thread worker) {
        boolean interrupted = false;
        while (true) {
            try {
                worker.join();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
