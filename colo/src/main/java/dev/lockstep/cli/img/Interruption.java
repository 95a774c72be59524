package dev.lockstep.cli.img;

import java.util.concurrent.CountDownLatch;

/// While it is open, Ctrl-C and SIGTERM do not end the process at once: they ask for an end, and
/// the process ends when this is closed. So whatever is being made can be completed or taken away.
final class Interruption implements AutoCloseable {
    private final CountDownLatch closed = new CountDownLatch(1);
    private final Thread hook;

    private Interruption(Runnable stop) {
        hook =
                Thread.ofPlatform()
                        .name("interruption")
                        .unstarted(
                                () -> {
                                    stop.run();
                                    awaitClose();
                                });
    }

    /// From now on.
    ///
    /// @param stop asks for an end and returns at once
    static Interruption calls(Runnable stop) {
        Interruption interruption = new Interruption(stop);
        Runtime.getRuntime().addShutdownHook(interruption.hook);
        return interruption;
    }

    private void awaitClose() {
        try {
            closed.await();
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        closed.countDown();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException _) {
            // The process is ending already.
        }
    }
}
