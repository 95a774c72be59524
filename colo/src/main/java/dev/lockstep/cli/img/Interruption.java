package dev.lockstep.cli.img;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/// While it is open, Ctrl-C and SIGTERM do not end the process at once: they ask for an end, and
/// the process ends when this is closed. So whatever is being made can be completed or taken away.
final class Interruption implements AutoCloseable {
    private final CountDownLatch closed = new CountDownLatch(1);
    private final AtomicBoolean asked = new AtomicBoolean();
    private final AtomicReference<Runnable> stop = new AtomicReference<>(() -> {});
    private final Thread hook = Thread.ofPlatform().name("interruption").unstarted(this::end);

    private Interruption() {}

    /// From now on.
    static Interruption awaited() {
        Interruption interruption = new Interruption();
        Runtime.getRuntime().addShutdownHook(interruption.hook);
        return interruption;
    }

    /// Names what can be asked to end soon. If an end was asked for, it is called now.
    void stops(Runnable action) {
        stop.set(action);
        if (asked.get()) {
            action.run();
        }
    }

    private void end() {
        asked.set(true);
        stop.get().run();
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
