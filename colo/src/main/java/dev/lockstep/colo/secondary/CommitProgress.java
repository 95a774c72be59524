package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// How far the commit of the buffers has come, for those who wait for its end.
final class CommitProgress {
    /// Guards: drained, failure. `changed` wakes whoever waits for the end.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private boolean drained;
    private @Nullable BlockException failure;

    /// Everything is on the disk: its writes have returned, and a flush after this covers them.
    void drained() {
        lock.lock();
        try {
            drained = true;
            failure = null;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /// A round failed. It stays so for those who ask until a later round succeeds.
    void failed(BlockException cause) {
        lock.lock();
        try {
            failure = cause;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /// Returns once everything is on the disk.
    ///
    /// @throws BlockException if the last round failed, because nobody can say when the next will
    ///     succeed
    void awaitDrained() throws BlockException {
        lock.lock();
        try {
            while (!drained) {
                BlockException cause = failure;
                if (cause != null) {
                    throw new BlockException(
                            cause.kind(),
                            "the buffers are not on the disk yet: " + cause.getMessage(),
                            cause);
                }
                changed.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Why the last round failed, or null.
    @Nullable BlockException failure() {
        lock.lock();
        try {
            return failure;
        } finally {
            lock.unlock();
        }
    }
}
