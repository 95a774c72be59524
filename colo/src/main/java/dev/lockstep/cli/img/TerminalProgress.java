package dev.lockstep.cli.img;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/// Tells people how far a command is, ` (12.34/100%)` over and over on one line. In a pipe it says
/// nothing.
final class TerminalProgress implements AutoCloseable {
    private static final int PERIOD_MILLIS = 200;
    private static final double WHOLE = 100;

    private final LongSupplier doneBytes;
    private final long totalBytes;
    private final CountDownLatch ended = new CountDownLatch(1);
    private final Thread thread;
    private boolean complete;

    private TerminalProgress(LongSupplier doneBytes, long totalBytes) {
        this.doneBytes = doneBytes;
        this.totalBytes = totalBytes;
        thread = Thread.ofVirtual().name("progress").start(this::tellUntilTheEnd);
    }

    /// Begins to tell, if somebody wants it and can see it.
    static TerminalProgress start(boolean wanted, LongSupplier doneBytes, long totalBytes) {
        return new TerminalProgress(doneBytes, wanted && isTerminal() ? totalBytes : -1);
    }

    private static boolean isTerminal() {
        try {
            String output = Files.readSymbolicLink(Path.of("/proc/self/fd/1")).toString();
            return output.matches("/dev/(pts/|tty|console).*");
        } catch (IOException _) {
            return false;
        }
    }

    private void tellUntilTheEnd() {
        if (totalBytes < 0) {
            return;
        }
        try {
            do {
                tell(totalBytes == 0 ? 0 : WHOLE * doneBytes.getAsLong() / totalBytes);
            } while (!ended.await(PERIOD_MILLIS, TimeUnit.MILLISECONDS));
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    private static void tell(double percent) {
        System.out.printf("    (%3.2f/100%%)\r", percent);
        System.out.flush();
    }

    /// Everything was done.
    void complete() {
        complete = true;
    }

    @Override
    public void close() {
        ended.countDown();
        try {
            thread.join();
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
        if (totalBytes >= 0) {
            if (complete) {
                tell(WHOLE);
            }
            System.out.println();
        }
    }
}
