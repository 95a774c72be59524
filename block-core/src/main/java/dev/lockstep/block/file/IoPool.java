package dev.lockstep.block.file;

import dev.lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/// Makes system calls that block, on platform threads, while the virtual thread that asked parks.
///
/// A native call pins its carrier, and there are only as many carriers as cores: without this, a
/// few slow disks would stop every virtual thread of the process. Each device has an `IoPool` of
/// its own, which bounds its calls in flight; the threads behind them are shared and come and go.
/// So a disk that hangs keeps its own share of threads and takes none of another's.
final class IoPool {
    /// Calls in flight a device. A disk reaches its best at a queue depth of 8 to 32; a thread
    /// costs about 50 KiB of touched stack, so a device's share stays below 1 MiB.
    static final int CALLS_IN_FLIGHT_MAX = 16;

    private static final long IDLE_SECONDS = 5;

    /// Never more threads than devices times [#CALLS_IN_FLIGHT_MAX]: each has a permit.
    private static final ExecutorService THREADS =
            new ThreadPoolExecutor(
                    0,
                    Integer.MAX_VALUE,
                    IDLE_SECONDS,
                    TimeUnit.SECONDS,
                    new SynchronousQueue<>(),
                    Thread.ofPlatform().daemon().name("lockstep-io-", 0).factory());

    private final Semaphore permits;

    /// A share for one device.
    IoPool() {
        this(CALLS_IN_FLIGHT_MAX);
    }

    IoPool(int callsInFlightMax) {
        permits = new Semaphore(callsInFlightMax);
    }

    /// Makes the call and returns what it returns. On a platform thread it is made right here.
    <T extends @Nullable Object> T call(IoCall<T> call) throws BlockException {
        if (!Thread.currentThread().isVirtual()) {
            return call.run();
        }
        permits.acquireUninterruptibly();
        try {
            Task<T> task = new Task<>(call, Thread.currentThread());
            THREADS.execute(task);
            return task.await();
        } finally {
            permits.release();
        }
    }

    /// A call on its way. The result is published by the write to `done`.
    private static final class Task<T extends @Nullable Object> implements Runnable {
        private final IoCall<T> call;
        private final Thread caller;
        private @Nullable T result;
        private @Nullable Throwable failure;
        private volatile boolean done;

        Task(IoCall<T> call, Thread caller) {
            this.call = call;
            this.caller = caller;
        }

        @Override
        public void run() {
            try {
                result = call.run();
            } catch (Throwable e) {
                failure = e;
            }
            done = true;
            LockSupport.unpark(caller);
        }

        /// Waits even if interrupted, because the buffers belong to the call until it returns. The
        /// interrupt is kept for whoever looks next.
        @SuppressWarnings("NullAway") // result is a T once the call returned
        T await() throws BlockException {
            boolean interrupted = false;
            while (!done) {
                LockSupport.park(this);
                interrupted |= Thread.interrupted();
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
            return switch (failure) {
                case null -> result;
                case BlockException e -> throw e;
                case RuntimeException e -> throw e;
                case Error e -> throw e;
                default -> throw new IllegalStateException(failure);
            };
        }
    }
}
