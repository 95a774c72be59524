package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.tls.ServerTls;
import dev.lockstep.nbd.tls.TlsChannel;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.ConnectException;
import java.net.SocketAddress;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ByteChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.UnresolvedAddressException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/// A QMP monitor. Register the commands, then [#listen] on one address or more.
///
/// Every server has `qmp_capabilities`, `query-version` and `query-commands`.
public final class QmpServer implements AutoCloseable {
    /// Clients at a time; a further one takes the place of one that has said nothing, or is hung up
    /// on. A pair needs two, people and scripts a few.
    public static final int CONNECTIONS_MAX = 64;

    /// How long a client may take to begin TLS, for which it has one of the connections.
    private static final Duration TLS_PATIENCE = Duration.ofSeconds(10);

    static final String NEGOTIATE = "qmp_capabilities";

    /// What queued replies (that to `quit` most of all) get to leave when the server closes.
    private static final Duration CLOSING_PATIENCE = Duration.ofMillis(500);

    private static final Logger LOG = LoggerFactory.getLogger(QmpServer.class);

    private final Version version;
    private final InstantSource clock;
    private final Commands commands = new Commands();

    /// Made once, and before the first client comes: the JVM takes half a second on a busy host to
    /// load what writes JSON, and the one who would wait for that is a primary with its patience.
    private final byte[] greeting;

    private final Set<ServerConnection> connections = ConcurrentHashMap.newKeySet();
    private final List<ServerSocketChannel> listeners = new CopyOnWriteArrayList<>();
    private final AtomicLong connectionNumber = new AtomicLong();

    /// What the greeting and `query-version` tell: three numbers, as of a release.
    public record Version(int major, int minor, int micro) {}

    /// A server that listens nowhere yet.
    ///
    /// @param clock dates the events
    public QmpServer(Version version, InstantSource clock) {
        this.version = version;
        this.clock = clock;
        this.greeting = greetingLine();
        commands.register(
                NEGOTIATE,
                List.of(Parameter.optional("enable", Parameter.Type.ARRAY)),
                (arguments, caller) -> negotiate(arguments));
        commands.register("query-version", List.of(), (arguments, caller) -> versionJson());
        commands.register("query-commands", List.of(), (arguments, caller) -> commandsJson());
    }

    /// Adds a command. It can be called at any time, also while clients are connected.
    public void register(String name, List<Parameter> parameters, CommandHandler handler) {
        commands.register(name, parameters, handler);
    }

    /// Accepts clients at an address. The file of a unix socket may be a leftover that nobody
    /// listens on; a TCP port may be 0.
    ///
    /// @return the address, with the port it got
    public Address listen(Address address) throws IOException {
        return listen(address, null);
    }

    /// The same through TLS, unless `tls` is null.
    public Address listen(Address address, @Nullable ServerTls tls) throws IOException {
        if (tls != null) {
            tls.credentials().check();
        }
        ServerSocketChannel listener = bind(address);
        listeners.add(listener);
        Address bound =
                switch (address) {
                    case Address.Unix unix -> unix;
                    case Address.Tcp tcp ->
                            new Address.Tcp(tcp.host(), listener.socket().getLocalPort());
                };
        Thread.ofPlatform().daemon().name("qmp-accept " + bound).start(() -> accept(listener, tls));
        return bound;
    }

    /// Tells every client that is past its negotiation. It never blocks.
    public void event(String name, ObjectNode data) {
        Instant now = clock.instant();
        ObjectNode message = Json.object();
        message.putObject("timestamp")
                .put("seconds", now.getEpochSecond())
                .put("microseconds", now.getNano() / 1000);
        message.put("event", name);
        if (!data.isEmpty()) {
            message.set("data", data);
        }
        byte[] line = Json.line(message);
        connections.forEach(connection -> connection.event(line));
    }

    /// Connections at the moment.
    public int connectionCount() {
        return connections.size();
    }

    /// Stops listening, lets queued replies leave, and hangs up on everyone. A command that still
    /// runs is not waited for.
    @Override
    public void close() {
        for (ServerSocketChannel listener : listeners) {
            closeListener(listener);
        }
        try {
            for (ServerConnection connection : connections) {
                connection.finish(CLOSING_PATIENCE);
            }
        } catch (InterruptedException e) {
            connections.forEach(ServerConnection::disconnect);
            Thread.currentThread().interrupt();
        }
    }

    void forget(ServerConnection connection) {
        connections.remove(connection);
    }

    JsonNode run(Commands.Request request, Caller caller) throws IOException, InterruptedException {
        return commands.run(request, caller);
    }

    /// What a client is told when it connects: a message ready to send.
    byte[] greeting() {
        return greeting;
    }

    private byte[] greetingLine() {
        ObjectNode greeting = Json.object();
        ObjectNode body = greeting.putObject("QMP");
        body.set("version", versionJson());
        body.putArray("capabilities");
        return Json.line(greeting);
    }

    private ObjectNode versionJson() {
        ObjectNode json = Json.object();
        json.putObject("qemu")
                .put("major", version.major())
                .put("minor", version.minor())
                .put("micro", version.micro());
        json.put("package", "lockstep");
        return json;
    }

    private ArrayNode commandsJson() {
        ArrayNode list = Json.array();
        commands.names().forEach(name -> list.addObject().put("name", name));
        return list;
    }

    private static ObjectNode negotiate(Arguments arguments) throws QmpException {
        JsonNode enable = arguments.json().get("enable");
        if (enable != null && !enable.isEmpty()) {
            throw new QmpException(
                    "Capability %s is not available: this server has none"
                            .formatted(enable.get(0)));
        }
        return Json.object();
    }

    private static ServerSocketChannel bind(Address address) throws IOException {
        ServerSocketChannel listener = address.openServerSocket();
        boolean bound = false;
        try {
            switch (address) {
                case Address.Unix unix -> removeLeftover(unix);
                case Address.Tcp _ -> listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
            }
            listener.bind(address.socketAddress());
            bound = true;
            return listener;
        } catch (IOException | UnresolvedAddressException e) {
            String reason =
                    e instanceof UnresolvedAddressException
                            ? "the host is not known"
                            : String.valueOf(e.getMessage());
            throw new IOException("cannot listen on %s: %s".formatted(address, reason), e);
        } finally {
            if (!bound) {
                listener.close();
            }
        }
    }

    /// A socket file outlives a killed server; one that nobody answers on is in the way.
    private static void removeLeftover(Address.Unix address) throws IOException {
        if (!Files.exists(address.path())) {
            return;
        }
        try (SocketChannel channel = address.openSocket()) {
            channel.connect(address.socketAddress());
            throw new IOException("another process listens there");
        } catch (ConnectException _) {
            Files.deleteIfExists(address.path());
        }
    }

    private static void closeListener(ServerSocketChannel listener) {
        try {
            SocketAddress address = listener.getLocalAddress();
            listener.close();
            if (address instanceof UnixDomainSocketAddress socketFile) {
                Path path = socketFile.getPath();
                Files.deleteIfExists(path);
            }
        } catch (IOException e) {
            LOG.debug("closing a listener: {}", e.getMessage());
        }
    }

    private void accept(ServerSocketChannel listener, @Nullable ServerTls tls) {
        while (listener.isOpen()) {
            try {
                admit(listener.accept(), tls);
            } catch (IOException e) {
                if (listener.isOpen()) {
                    // Out of file descriptors, most likely: trying again at once would only spin.
                    LOG.warn("accepting a monitor client: {}", e.getMessage());
                    LockSupport.parkNanos(100_000_000);
                }
            }
        }
    }

    private void admit(SocketChannel socket, @Nullable ServerTls tls) throws IOException {
        if (connections.size() >= CONNECTIONS_MAX && !makeRoom()) {
            LOG.warn("a monitor client is turned away: {} are connected", CONNECTIONS_MAX);
            socket.close();
            return;
        }
        SocketAddress remote = socket.getRemoteAddress();
        boolean unix = remote instanceof UnixDomainSocketAddress;
        if (!unix) {
            socket.setOption(StandardSocketOptions.TCP_NODELAY, true);
        }
        long number = connectionNumber.incrementAndGet();
        String description = unix ? "unix client " + number : withoutHostName(remote);
        ServerConnection connection =
                new ServerConnection(this, secured(socket, tls), number, description);
        connections.add(connection);
        connection.start();
    }

    /// Drops the one that has said nothing for longest, so that whoever opens connections and
    /// leaves them keeps nobody from the monitor.
    private boolean makeRoom() {
        Optional<ServerConnection> silent =
                connections.stream()
                        .filter(connection -> !connection.isNegotiated())
                        .min(Comparator.comparingLong(ServerConnection::number));
        silent.ifPresent(ServerConnection::disconnect);
        return silent.isPresent();
    }

    /// The handshake itself is done by the connection's threads, not by the one that accepts.
    private static ByteChannel secured(SocketChannel socket, @Nullable ServerTls tls)
            throws IOException {
        if (tls == null) {
            return socket;
        }
        try {
            return TlsChannel.of(socket, tls, TLS_PATIENCE);
        } catch (IOException e) {
            socket.close();
            throw e;
        }
    }

    /// A socket address that was not looked up is written with a slash before it.
    private static String withoutHostName(SocketAddress address) {
        String text = address.toString();
        return text.substring(text.indexOf('/') + 1);
    }
}
