package dev.lockstep.cli;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/// The life of a server: ready, serving, asked to end, closed. SIGTERM, SIGINT and the server's own
/// end all lead through the same shutdown hook, and the process exits 0 if closing worked.
///
/// The hook ends in `halt`, because a JVM that a signal stops would otherwise exit 143 however well
/// it closed.
final class ServerProcess {
    /// Something that closes cleanly.
    @FunctionalInterface
    interface Closing {
        void close() throws IOException;
    }

    /// Waits until the server has nothing more to do.
    @FunctionalInterface
    interface Ending {
        void await() throws IOException, InterruptedException;
    }

    private final AtomicInteger status = new AtomicInteger();
    private final AtomicBoolean closed = new AtomicBoolean();
    private final String command;
    private final Closing closing;

    private ServerProcess(String command, Closing closing) {
        this.command = command;
        this.closing = closing;
    }

    /// Prints the ready line and serves until the end of the process. It does not return.
    ///
    /// @param command who speaks, where closing fails
    static int run(String command, String readyUri, Ending ending, Closing closing)
            throws InterruptedException {
        ServerProcess process = new ServerProcess(command, closing);
        Runtime.getRuntime()
                .addShutdownHook(Thread.ofPlatform().name("shutdown").unstarted(process::end));
        System.out.println("ready: " + readyUri);
        System.out.flush();
        try {
            ending.await();
        } catch (IOException e) {
            process.fail(e);
        }
        System.exit(process.status.get());
        throw new InterruptedException("the process ends");
    }

    private void end() {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        try {
            closing.close();
        } catch (IOException e) {
            fail(e);
        } catch (RuntimeException e) {
            Log.stackTrace(e);
            fail(new IOException("closing failed unexpectedly: " + e, e));
        }
        System.err.flush();
        Runtime.getRuntime().halt(status.get());
    }

    private void fail(IOException e) {
        System.err.println(command + ": " + e.getMessage());
        status.set(Failure.EXIT_STATUS);
    }
}
