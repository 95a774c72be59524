package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.node.ObjectNode;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/// Sends at most one event of a kind in a second. Of those that come too soon the last one is sent
/// when the second is over, the others are dropped.
public final class EventLimiter {
    private static final long INTERVAL_NANOS = 1_000_000_000L;

    private record Kind(String event, String key) {}

    private final QmpServer server;

    /// Guards: pending.
    private final ReentrantLock lock = new ReentrantLock();

    /// The kinds that were sent less than a second ago, each with what has come since, if anything.
    private final Map<Kind, @Nullable ObjectNode> pending = new HashMap<>();

    /// A limiter of a server's events.
    public EventLimiter(QmpServer server) {
        this.server = server;
    }

    /// Sends an event now or later, or replaces one that waits. It never blocks.
    ///
    /// @param key tells apart what is not similar: a node's name
    public void send(String event, String key, ObjectNode data) {
        Kind kind = new Kind(event, key);
        lock.lock();
        try {
            if (pending.containsKey(kind)) {
                pending.put(kind, data);
                return;
            }
            pending.put(kind, null);
        } finally {
            lock.unlock();
        }
        server.event(event, data);
        Thread.ofVirtual().name("qmp-event " + event).start(() -> sendLater(kind));
    }

    private void sendLater(Kind kind) {
        ObjectNode latest;
        do {
            park();
            lock.lock();
            try {
                latest = pending.get(kind);
                if (latest == null) {
                    pending.remove(kind);
                } else {
                    pending.put(kind, null);
                }
            } finally {
                lock.unlock();
            }
            if (latest != null) {
                server.event(kind.event(), latest);
            }
        } while (latest != null);
    }

    /// Waits out the second; nobody wakes this thread early on purpose.
    private static void park() {
        long end = System.nanoTime() + INTERVAL_NANOS;
        for (long left = INTERVAL_NANOS; left > 0; left = end - System.nanoTime()) {
            LockSupport.parkNanos(left);
        }
    }
}
