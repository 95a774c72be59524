package dev.lockstep.block.filter.copybeforewrite;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;

/// How long somebody waits for a copy. One that takes longer goes on by itself, since a request
/// cannot be taken back; it ends before [#awaitLate] returns.
final class Deadline {
    private final Duration limit;
    private final Set<Thread> running = ConcurrentHashMap.newKeySet();

    /// @param limit zero is no limit
    Deadline(Duration limit) {
        this.limit = limit;
    }

    /// What is waited for.
    @FunctionalInterface
    interface Copy {
        void run() throws BlockException;
    }

    /// Returns when it has ended.
    ///
    /// @throws BlockException as the copy, or with `TIMEOUT`
    void await(Copy copy) throws BlockException {
        if (limit.isZero()) {
            copy.run();
            return;
        }
        AtomicReference<@Nullable BlockException> outcome =
                new AtomicReference<>(
                        new BlockException(Kind.IO, "the copy did not end as it should"));
        Thread thread = Thread.ofVirtual().unstarted(() -> outcome.set(outcome(copy)));
        running.removeIf(other -> !other.isAlive());
        running.add(thread);
        thread.start();
        if (!ended(thread)) {
            throw new BlockException(
                    Kind.TIMEOUT, "the copy took longer than %d s".formatted(limit.toSeconds()));
        }
        BlockException failure = outcome.get();
        if (failure != null) {
            throw failure.again();
        }
    }

    private static @Nullable BlockException outcome(Copy copy) {
        try {
            copy.run();
            return null;
        } catch (BlockException e) {
            return e;
        }
    }

    /// An interrupt does not end the wait: it is kept for whoever looks next.
    private boolean ended(Thread thread) {
        long end = System.nanoTime() + limit.toNanos();
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return thread.join(Duration.ofNanos(Math.max(1, end - System.nanoTime())));
                } catch (InterruptedException _) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /// Returns when no copy is under way. None is begun meanwhile.
    void awaitLate() {
        for (Thread thread : running) {
            while (thread.isAlive()) {
                boolean _ = ended(thread);
            }
        }
    }
}
