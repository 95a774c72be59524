package dev.lockstep.nbd.server;

import dev.lockstep.nbd.Degradation;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.tls.ServerTls;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.Set;

/// How a server behaves towards all of its clients.
///
/// @param maxConnections further clients wait in the listen queue; with 1, clients are told that an
///     export takes one connection
/// @param eventLoops threads that serve sockets
/// @param handshakeDeadline a client that has not finished its handshake by then is dropped
/// @param spin how long an event loop keeps polling after it had work before it sleeps: it buys
///     the shorter wake-up of a client that has few requests in flight with processor time
/// @param degradations what this server does without, to test clients
/// @param tls how TLS is spoken, or null where it is not
public record ServerOptions(
        int maxConnections,
        int eventLoops,
        Duration handshakeDeadline,
        Duration spin,
        Set<Degradation> degradations,
        @Nullable ServerTls tls) {
    /// Far more than any client opens; each costs a file descriptor and a few KiB while idle.
    public static final int CONNECTIONS_DEFAULT = 1000;

    /// For a process that does nothing but serve. A client with one request in flight thinks for
    /// some 25 us between two: twice that finds the next one without sleeping, which doubled its
    /// rate for a tenth more processor time a request. The loops of a pair share their cores and do
    /// not poll.
    public static final Duration SPIN_ALONE = Duration.ofNanos(50_000);

    /// One loop, since a loop outruns what one client can ask.
    public static final ServerOptions DEFAULT =
            new ServerOptions(
                    CONNECTIONS_DEFAULT,
                    1,
                    NbdProtocol.HANDSHAKE_DEADLINE,
                    Duration.ZERO,
                    Set.of(),
                    null);

    /// Checks the numbers.
    public ServerOptions {
        degradations = Set.copyOf(degradations);
        if (maxConnections < 1 || eventLoops < 1) {
            throw new IllegalArgumentException(
                    "a server needs at least one connection and one event loop");
        }
    }

    /// The same with another limit of connections.
    public ServerOptions withMaxConnections(int limit) {
        return new ServerOptions(limit, eventLoops, handshakeDeadline, spin, degradations, tls);
    }

    /// The same with another number of event loops.
    public ServerOptions withEventLoops(int loops) {
        return new ServerOptions(maxConnections, loops, handshakeDeadline, spin, degradations, tls);
    }

    /// The same with another deadline for handshakes.
    public ServerOptions withHandshakeDeadline(Duration deadline) {
        return new ServerOptions(maxConnections, eventLoops, deadline, spin, degradations, tls);
    }

    /// The same with another time to spin.
    public ServerOptions withSpin(Duration time) {
        return new ServerOptions(
                maxConnections, eventLoops, handshakeDeadline, time, degradations, tls);
    }

    /// The same without some of the protocol.
    public ServerOptions without(Set<Degradation> these) {
        return new ServerOptions(maxConnections, eventLoops, handshakeDeadline, spin, these, tls);
    }

    /// The same with TLS, or with null without.
    public ServerOptions withTls(@Nullable ServerTls how) {
        return new ServerOptions(
                maxConnections, eventLoops, handshakeDeadline, spin, degradations, how);
    }
}
