package dev.lockstep.cli;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/// Tells how far a copy is: a bar for people on standard error, or a line `N/100` each time for
/// programs on a file descriptor.
final class CopyProgress implements AutoCloseable {
    /// What stands for a bar instead of a descriptor's number.
    static final String BAR = "bar";

    private static final int PERIOD_MILLIS = 200;
    private static final int WHOLE = 100;
    private static final int BAR_COLUMNS = 40;

    private final PrintStream output;
    private final boolean bar;
    private final LongSupplier doneBytes;
    private final long totalBytes;
    private final CountDownLatch ended = new CountDownLatch(1);
    private final Thread thread;
    private int told = -1;

    private CopyProgress(PrintStream output, boolean bar, LongSupplier doneBytes, long total) {
        this.output = output;
        this.bar = bar;
        this.doneBytes = doneBytes;
        this.totalBytes = total;
        thread = Thread.ofVirtual().name("progress").start(this::tellUntilTheEnd);
    }

    /// Begins to tell.
    ///
    /// @param where [#BAR], the number of a descriptor, or null to tell nothing
    /// @param total how many bytes there are, 0 if nobody knows
    static @Nullable CopyProgress start(@Nullable String where, LongSupplier done, long total)
            throws IOException {
        if (where == null) {
            return null;
        }
        if (where.equals(BAR)) {
            return new CopyProgress(System.err, true, done, total);
        }
        Path descriptor = Path.of("/proc/self/fd").resolve(where);
        if (!where.matches("[0-9]{1,9}") || !Files.exists(descriptor)) {
            throw new UsageError("--progress=%s names no open file descriptor".formatted(where));
        }
        PrintStream stream =
                new PrintStream(Files.newOutputStream(descriptor, StandardOpenOption.APPEND), true);
        return new CopyProgress(stream, false, done, total);
    }

    private void tellUntilTheEnd() {
        try {
            do {
                tell(totalBytes == 0 ? 0 : (int) (doneBytes.getAsLong() * WHOLE / totalBytes));
            } while (!ended.await(PERIOD_MILLIS, TimeUnit.MILLISECONDS));
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    private void tell(int percent) {
        if (percent == told) {
            return;
        }
        told = percent;
        if (bar) {
            int columns = percent * BAR_COLUMNS / WHOLE;
            output.printf(
                    "\r%3d%% [%s%s]",
                    percent, "*".repeat(columns), "-".repeat(BAR_COLUMNS - columns));
        } else {
            output.println(percent + "/" + WHOLE);
        }
        output.flush();
    }

    /// The copy is complete.
    void complete() throws InterruptedException {
        stop();
        tell(WHOLE);
    }

    private void stop() throws InterruptedException {
        ended.countDown();
        thread.join();
    }

    /// Tells no more.
    @Override
    public void close() {
        try {
            stop();
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
        if (bar) {
            output.println();
        } else {
            output.close();
        }
    }
}
