package dev.lockstep.nbd.client;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/// Who reads the replies of a connection: one thread at a time.
///
/// A thread of its own does, the reader, which wakes those whose requests are settled. Where
/// [RemoteOptions#waitersRead], a platform thread that awaits a reply reads for itself and, until
/// its own reply has come, for all others: nobody has to be woken for what the one thread finds
/// that wants it. The reader steps aside for such threads, and looks again after a moment. So
/// replies are read while nobody awaits them, which a server may need before it takes more
/// requests, and the end of an idle connection is noticed at once.
///
/// Whoever stops reading wakes another who waits to. A waiter is known by its request before it
/// looks whether anybody reads, and he who stops looks for waiters after it has stopped: one of the
/// two sees the other.
final class Replies {
    /// How long the reader leaves the replies to those who await them: long for them, and short for
    /// a server that nobody listens to.
    private static final Duration ASIDE = Duration.ofMillis(20);

    private final NbdConnection connection;
    private final Incoming incoming;
    private final InFlight inFlight;
    private final boolean waitersRead;
    private final AtomicBoolean taken = new AtomicBoolean();
    private final Thread reader;

    /// Asks the reader to step aside.
    private volatile boolean wanted;

    Replies(NbdConnection connection, Incoming incoming, InFlight inFlight, boolean waitersRead) {
        this.connection = connection;
        this.incoming = incoming;
        this.inFlight = inFlight;
        this.waitersRead = waitersRead;
        this.reader =
                Thread.ofPlatform()
                        .daemon()
                        .name("nbd-client " + connection.description())
                        .unstarted(this::read);
    }

    void start() {
        reader.start();
    }

    /// Lets the reader see that the connection has ended.
    void end() {
        LockSupport.unpark(reader);
    }

    private void read() {
        while (!connection.isLost()) {
            if (taken.compareAndSet(false, true)) {
                wanted = false;
                readUntil(null);
            }
            LockSupport.parkNanos(this, ASIDE.toNanos());
        }
    }

    /// Reads until the request is settled, if nobody else does.
    ///
    /// @return false if the caller is to wait until it is woken
    boolean readFor(Request request) {
        if (!waitersRead || !request.isReadByWaiter() || connection.isLost()) {
            return false;
        }
        if (!taken.compareAndSet(false, true)) {
            wanted = true;
            if (!taken.compareAndSet(false, true)) {
                return false;
            }
        }
        boolean interrupted = Thread.interrupted(); // An interrupted read would close the socket.
        readUntil(request);
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return true;
    }

    /// Reads for one who waits, or for all until somebody wants to read.
    private void readUntil(@Nullable Request request) {
        try {
            while (!connection.isLost() && !(request == null ? wanted : request.isSettled())) {
                incoming.readReply();
            }
        } catch (IOException | RuntimeException e) {
            connection.lose(e);
        } finally {
            taken.set(false);
            wakeAnother();
        }
    }

    private void wakeAnother() {
        if (inFlight.count() == 0 || inFlight.any(Request::wakeToRead)) {
            return;
        }
        if (inFlight.any(Request::isAwaited)) {
            LockSupport.unpark(reader);
        }
    }
}
