package dev.lockstep.cli;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/// The life of a server: starting, ready, serving, asked to end, closed. SIGTERM, SIGINT and the
/// server's own end all lead through the same shutdown hook, and the process exits 0 if closing
/// worked. A signal that comes while the server starts breaks the start off.
///
/// The hook ends in `halt`, because a JVM that a signal stops would otherwise exit 143 however well
/// it closed.
final class ServerProcess {
    /// Makes the server. Interrupted, it undoes what it began and throws.
    @FunctionalInterface
    interface Starting {
        Server start() throws IOException, InterruptedException;
    }

    /// A server that runs.
    ///
    /// @param readyUri what its ready line says; if it is empty there is none
    record Server(String readyUri, Ending ending, Closing closing) {}

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

    /// How long a start that a signal broke off may take to undo what it began: what a script waits
    /// for before it kills.
    private static final long UNDO_LIMIT_SECONDS = 10;

    private final AtomicInteger status = new AtomicInteger();
    private final AtomicBoolean closed = new AtomicBoolean();
    private final CountDownLatch started = new CountDownLatch(1);
    private final Thread starter = Thread.currentThread();
    private final String command;
    private volatile boolean endsEarly;
    private volatile @Nullable Server server;

    private ServerProcess(String command) {
        this.command = command;
    }

    /// Starts a server, prints its ready line and serves until the end of the process. It does not
    /// return.
    ///
    /// @param command who speaks, where starting or closing fails
    static int run(String command, Starting starting) throws IOException, InterruptedException {
        ServerProcess process = new ServerProcess(command);
        Runtime.getRuntime()
                .addShutdownHook(Thread.ofPlatform().name("shutdown").unstarted(process::end));
        EarlyEnd.over();
        try {
            Server server = process.start(starting);
            if (!server.readyUri().isEmpty()) {
                System.out.println("ready: " + server.readyUri());
                System.out.flush();
            }
            server.ending().await();
        } catch (IOException e) {
            if (!process.endsEarly) {
                process.fail(e);
            }
        } catch (InterruptedException e) {
            if (!process.endsEarly) {
                throw e;
            }
        } catch (RuntimeException e) {
            process.status.set(Failure.EXIT_STATUS);
            throw e;
        }
        System.exit(process.status.get());
        throw new InterruptedException("the process ends");
    }

    private Server start(Starting starting) throws IOException, InterruptedException {
        try {
            Server made = starting.start();
            server = made;
            return made;
        } finally {
            started.countDown();
        }
    }

    private void end() {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        try {
            breakOffStart();
            Server running = server;
            if (running != null) {
                running.closing().close();
            }
        } catch (IOException e) {
            fail(e);
        } catch (InterruptedException e) {
            fail(new IOException("interrupted while closing", e));
        } catch (RuntimeException e) {
            Log.stackTrace(e);
            fail(new IOException("closing failed unexpectedly: " + e, e));
        }
        System.err.flush();
        Runtime.getRuntime().halt(status.get());
    }

    private void breakOffStart() throws InterruptedException {
        if (started.getCount() > 0) {
            endsEarly = true;
            starter.interrupt();
            boolean _ = started.await(UNDO_LIMIT_SECONDS, TimeUnit.SECONDS);
        }
    }

    private void fail(IOException e) {
        System.err.println(command + ": " + e.getMessage());
        status.set(Failure.EXIT_STATUS);
    }
}
