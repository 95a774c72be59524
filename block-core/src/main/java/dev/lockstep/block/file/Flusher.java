package dev.lockstep.block.file;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// Lets flushes that wait share one sync, and never forgets one that failed.
///
/// A flush is answered by a sync that *started* after the flush was asked for: one that is already
/// running may have passed by what the flush must cover. So at most one sync runs, and all flushes
/// that come meanwhile share the next.
///
/// The kernel reports a failed write-back once, and drops the dirty pages or marks them clean; the
/// next `fdatasync` succeeds without the data being there. Hence a failure is for good.
public final class Flusher {
    /// Guards: all fields. Condition: `ended` wakes flushes when a sync ended.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition ended = lock.newCondition();
    private final IoCall<@Nullable Void> sync;
    private long started;
    private long finished;
    private @Nullable BlockException failure;

    /// Shares `sync`.
    ///
    /// @param sync throws if not all of what was written before it is on stable storage
    public Flusher(IoCall<@Nullable Void> sync) {
        this.sync = sync;
    }

    /// Returns when a sync that began after this call has ended.
    ///
    /// @throws BlockException if it, or any before it, failed
    public void flush() throws BlockException {
        lock.lock();
        try {
            long awaited = started + 1;
            while (finished < awaited && failure == null) {
                if (started == finished) {
                    runSync();
                } else {
                    ended.awaitUninterruptibly();
                }
            }
            if (failure != null) {
                throw new BlockException(
                        failure.kind(),
                        failure.getMessage()
                                + "; what was written may be lost, so no flush succeeds until the"
                                + " device is opened anew",
                        failure);
            }
        } finally {
            lock.unlock();
        }
    }

    /// Runs the next sync on behalf of all that wait. Called with the lock held, which is released
    /// meanwhile.
    private void runSync() {
        started++;
        lock.unlock();
        @Nullable BlockException outcome =
                new BlockException(Kind.IO, "a sync did not end as it should");
        try {
            sync.run();
            outcome = null;
        } catch (BlockException e) {
            outcome = e;
        } finally {
            lock.lock();
            failure = outcome;
            finished = started;
            ended.signalAll();
        }
    }
}
