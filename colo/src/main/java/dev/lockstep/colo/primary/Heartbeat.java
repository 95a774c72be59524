package dev.lockstep.colo.primary;

import dev.lockstep.colo.LinkProtocol;
import dev.lockstep.colo.machine.Event;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Timing;
import dev.lockstep.qmp.QmpClient;
import dev.lockstep.qmp.QmpException;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/// Ticks to the secondary while a session lasts, on a connection and a platform thread of its own,
/// so that neither a busy guest nor a slow command silences it. Each answer is a sign of life; a
/// broken connection is death at once. Silence is judged by the machine, which knows the time.
final class Heartbeat implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofNanos(Timing.DEAD_NANOS);

    private final Peer peer;
    private final Nonce session;
    private final Consumer<Event> post;
    private final Thread thread;
    private volatile boolean closed;

    private Heartbeat(Peer peer, Nonce session, Consumer<Event> post) {
        this.peer = peer;
        this.session = session;
        this.post = post;
        this.thread = Thread.ofPlatform().daemon().name("colo-heartbeat").unstarted(this::run);
    }

    static Heartbeat start(Peer peer, Nonce session, Consumer<Event> post) {
        Heartbeat heartbeat = new Heartbeat(peer, session, post);
        heartbeat.thread.start();
        return heartbeat;
    }

    Nonce session() {
        return session;
    }

    /// Ends it without waiting.
    @Override
    public void close() {
        closed = true;
        thread.interrupt();
    }

    private void run() {
        QmpClient.Listener listener =
                new QmpClient.Listener() {
                    @Override
                    public void lost(IOException cause) {
                        lose(cause);
                    }
                };
        try (QmpClient client = peer.connect(PATIENCE, listener)) {
            long next = System.nanoTime();
            while (!closed) {
                tick(client);
                next += Timing.TICK_NANOS;
                pause(next);
                // A thread that slept through several ticks does not make up for them.
                next = Math.max(next, System.nanoTime() - Timing.TICK_NANOS);
            }
        } catch (IOException e) {
            lose(e);
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    private void tick(QmpClient client) throws IOException, InterruptedException {
        try {
            client.execute(LinkProtocol.TICK, LinkProtocol.tick(session), PATIENCE);
            post.accept(new Event.Heard(session));
        } catch (QmpException e) {
            throw new IOException("the secondary refuses the heartbeat: " + e.description(), e);
        } catch (SocketTimeoutException _) {
            // Silence, which the machine notices by itself.
        }
    }

    private void pause(long untilNanos) {
        long rest = untilNanos - System.nanoTime();
        while (rest > 0 && !closed) {
            LockSupport.parkNanos(this, rest);
            rest = untilNanos - System.nanoTime();
        }
    }

    private void lose(IOException cause) {
        if (!closed) {
            post.accept(new Event.LinkLost(String.valueOf(cause.getMessage())));
        }
    }
}
