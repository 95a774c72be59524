package dev.lockstep.nbd.client;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

import java.time.Duration;

/// How to reach an export and how long to be patient with it.
///
/// @param address where the server listens
/// @param export the export's name; empty for the server's default one
/// @param connections how many connections to open if the server says that a flush on one covers
///     all; otherwise one is opened
/// @param connectDeadline how long connecting and the handshake may take together
/// @param requestDeadline how long a request may be unanswered before the server counts as dead
/// @param maxInFlight how many requests may be unanswered on one connection; more wait
public record RemoteOptions(
        Address address,
        String export,
        int connections,
        Duration connectDeadline,
        Duration requestDeadline,
        int maxInFlight) {

    /// More than 16 help no server that we know.
    static final int CONNECTIONS_MAX = 16;

    /// A slot's number fits into the low 16 bits of a cookie, with room to spare.
    static final int IN_FLIGHT_MAX = 4096;

    private static final int IN_FLIGHT_DEFAULT = 256;
    private static final Duration CONNECT_DEADLINE = Duration.ofSeconds(10);
    private static final Duration REQUEST_DEADLINE = Duration.ofSeconds(30);

    /// Checks the numbers.
    public RemoteOptions {
        check("connections", connections, CONNECTIONS_MAX);
        check("maxInFlight", maxInFlight, IN_FLIGHT_MAX);
        if (!connectDeadline.isPositive() || !requestDeadline.isPositive()) {
            throw new IllegalArgumentException("a deadline is longer than nothing");
        }
    }

    /// The defaults for an export: one connection, 10 s to connect, 30 s a request.
    public static RemoteOptions of(NbdUri uri) {
        return new RemoteOptions(
                uri.address(),
                uri.export(),
                1,
                CONNECT_DEADLINE,
                REQUEST_DEADLINE,
                IN_FLIGHT_DEFAULT);
    }

    /// The same with another number of connections.
    public RemoteOptions withConnections(int count) {
        return new RemoteOptions(
                address, export, count, connectDeadline, requestDeadline, maxInFlight);
    }

    /// The same with other deadlines.
    public RemoteOptions withDeadlines(Duration connect, Duration request) {
        return new RemoteOptions(address, export, connections, connect, request, maxInFlight);
    }

    /// The same with another number of requests in flight.
    public RemoteOptions withMaxInFlight(int count) {
        return new RemoteOptions(
                address, export, connections, connectDeadline, requestDeadline, count);
    }

    /// The export's URI: what errors call it.
    public NbdUri uri() {
        return new NbdUri(address, export);
    }

    private static void check(String name, int value, int max) {
        if (value < 1 || value > max) {
            throw new IllegalArgumentException(
                    "%s is %d, not between 1 and %d".formatted(name, value, max));
        }
    }
}
