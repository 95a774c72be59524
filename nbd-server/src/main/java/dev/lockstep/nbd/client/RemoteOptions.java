package dev.lockstep.nbd.client;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.tls.ClientTls;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.List;

/// How to reach an export, what to agree on with its server, and how long to be patient with it.
///
/// @param uri where the server listens and the export's name: also what errors call it
/// @param connections how many connections to open if the server says that a flush on one covers
///     all; otherwise one is opened
/// @param maxInFlight how many requests may be unanswered on one connection; more wait
/// @param headers the newest style of headers to ask for
/// @param contexts the names of the metadata contexts to ask for besides `base:allocation`
/// @param patience how long to wait for what
/// @param waitersRead whether a platform thread that awaits a reply reads it from the socket, which
///     spares waking it. Nobody interrupts such a thread: that would close the socket
/// @param tls how TLS is spoken, or null where it is not
public record RemoteOptions(
        NbdUri uri,
        int connections,
        int maxInFlight,
        HeaderStyle headers,
        List<String> contexts,
        Patience patience,
        boolean waitersRead,
        @Nullable ClientTls tls) {

    /// More than 16 help no server that we know.
    static final int CONNECTIONS_MAX = 16;

    /// A slot's number fits into the low 16 bits of a cookie, with room to spare.
    static final int IN_FLIGHT_MAX = 4096;

    /// What every server must expect to be asked for at once, with `base:allocation`.
    static final int CONTEXTS_MAX = 63;

    private static final int IN_FLIGHT_DEFAULT = 256;

    /// Checks the numbers.
    public RemoteOptions {
        check("connections", connections, CONNECTIONS_MAX);
        check("maxInFlight", maxInFlight, IN_FLIGHT_MAX);
        check("1 + contexts", 1 + contexts.size(), 1 + CONTEXTS_MAX);
        contexts = List.copyOf(contexts);
    }

    /// The defaults for an export: one connection, 10 s to connect, 30 s a request.
    public static RemoteOptions of(NbdUri uri) {
        return new RemoteOptions(
                uri,
                1,
                IN_FLIGHT_DEFAULT,
                HeaderStyle.EXTENDED,
                List.of(),
                Patience.DEFAULT,
                false,
                uri.tls() == null ? null : ClientTls.of(uri.tls()));
    }

    /// The same with another number of connections.
    public RemoteOptions withConnections(int count) {
        return new RemoteOptions(
                uri, count, maxInFlight, headers, contexts, patience, waitersRead, tls);
    }

    /// The same with another number of requests in flight.
    public RemoteOptions withMaxInFlight(int count) {
        return new RemoteOptions(
                uri, connections, count, headers, contexts, patience, waitersRead, tls);
    }

    /// The same with headers no newer than `newest`.
    public RemoteOptions withHeaders(HeaderStyle newest) {
        return new RemoteOptions(
                uri, connections, maxInFlight, newest, contexts, patience, waitersRead, tls);
    }

    /// The same with other metadata contexts.
    public RemoteOptions withContexts(List<String> names) {
        return new RemoteOptions(
                uri, connections, maxInFlight, headers, names, patience, waitersRead, tls);
    }

    /// The same with other waiting times.
    public RemoteOptions withPatience(Patience times) {
        return new RemoteOptions(
                uri, connections, maxInFlight, headers, contexts, times, waitersRead, tls);
    }

    /// The same with TLS, or with null without, whatever the URI says of it.
    public RemoteOptions withTls(@Nullable ClientTls how) {
        return new RemoteOptions(
                uri, connections, maxInFlight, headers, contexts, patience, waitersRead, how);
    }

    /// The same for an owner whose platform threads nobody interrupts, see [#waitersRead].
    public RemoteOptions withWaitersRead() {
        return new RemoteOptions(
                uri, connections, maxInFlight, headers, contexts, patience, true, tls);
    }

    /// The same with other deadlines.
    public RemoteOptions withDeadlines(Duration connect, Duration request) {
        return withPatience(
                new Patience(connect, request, patience.openTimeout(), patience.reconnectDelay()));
    }

    /// The same with another [Patience#openTimeout].
    public RemoteOptions withOpenTimeout(Duration timeout) {
        return withPatience(
                new Patience(
                        connectDeadline(), requestDeadline(), timeout, patience.reconnectDelay()));
    }

    /// The same with another [Patience#reconnectDelay].
    public RemoteOptions withReconnectDelay(Duration delay) {
        return withPatience(
                new Patience(connectDeadline(), requestDeadline(), patience.openTimeout(), delay));
    }

    /// Where the server listens.
    public Address address() {
        return uri.address();
    }

    /// The export's name; empty for the server's default one.
    public String export() {
        return uri.export();
    }

    /// How long connecting and the handshake may take together.
    public Duration connectDeadline() {
        return patience.connectDeadline();
    }

    /// How long a request may be unanswered before the server counts as dead.
    public Duration requestDeadline() {
        return patience.requestDeadline();
    }

    private static void check(String name, int value, int max) {
        if (value < 1 || value > max) {
            throw new IllegalArgumentException(
                    "%s is %d, not between 1 and %d".formatted(name, value, max));
        }
    }
}
