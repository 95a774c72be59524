package dev.lockstep.block.copy;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;

/// Threads that do one thing together until it is done or one of them fails.
final class Workers {
    /// What each of them does.
    interface Work {
        /// Does the next part of it.
        ///
        /// @return false if there is none
        boolean step() throws IOException;

        /// Waits for what it has under way, when nothing more is to be begun.
        default void end() {}
    }

    /// Direct buffers begin with a page, which is what any `O_DIRECT` asks for.
    private static final int PAGE_BYTES = 4096;

    private final AtomicReference<@Nullable BlockException> failure = new AtomicReference<>();

    /// Runs them all to their end.
    ///
    /// @throws BlockException what the first of them that failed has thrown, or what [#stop] was
    ///     given
    void run(int count, Thread.Builder builder, Supplier<Work> work) throws BlockException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            threads.add(builder.name("copy-" + i).start(() -> loop(work)));
        }
        boolean interrupted = false;
        for (Thread thread : threads) {
            interrupted |= join(thread);
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        BlockException cause = failure.get();
        if (cause != null) {
            throw cause;
        }
    }

    /// Lets nothing new begin; the first cause stays.
    void stop(BlockException cause) {
        failure.compareAndSet(null, cause);
    }

    /// A buffer for a worker.
    static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocateDirect(bytes + PAGE_BYTES)
                .alignedSlice(PAGE_BYTES)
                .slice(0, bytes);
    }

    private void loop(Supplier<Work> work) {
        try {
            Work mine = work.get();
            try {
                while (failure.get() == null && mine.step()) {
                    // Everything is in the condition.
                }
            } finally {
                mine.end();
            }
        } catch (BlockException e) {
            stop(e);
        } catch (IOException e) {
            stop(new BlockException(Kind.IO, String.valueOf(e.getMessage()), e));
        } catch (RuntimeException | OutOfMemoryError e) {
            stop(new BlockException(Kind.IO, "the copy failed: " + e, e));
        }
    }

    /// Waits for a worker, which ends by itself; returns whether the wait was interrupted.
    private static boolean join(Thread worker) {
        boolean interrupted = false;
        while (true) {
            try {
                worker.join();
                return interrupted;
            } catch (InterruptedException _) {
                interrupted = true;
            }
        }
    }
}
