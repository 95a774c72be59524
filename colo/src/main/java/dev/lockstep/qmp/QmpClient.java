package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.tls.ClientTls;
import dev.lockstep.nbd.tls.TlsChannel;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.SocketAddress;
import java.net.SocketTimeoutException;
import java.net.StandardSocketOptions;
import java.net.UnknownHostException;
import java.nio.channels.ByteChannel;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.UnresolvedAddressException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

import javax.net.ssl.SSLEngine;

/// A connection to a QMP monitor. Any thread, virtual or not, may [#execute] at any time; each call
/// waits for its own reply.
///
/// The [Listener] hears of events and of the connection's loss on the client's own platform thread:
/// it must not block, least of all in a call on the same client.
public final class QmpClient implements AutoCloseable {
    /// Told what nobody asked for.
    public interface Listener {
        /// The server reported something.
        default void event(Event event) {}

        /// The connection is gone, by no [QmpClient#close] of ours. Called once.
        default void lost(IOException cause) {}
    }

    /// One reply or event: a status with hundreds of nodes fits many times.
    private static final int MESSAGE_BYTES_MAX = 16 << 20;

    private static final String ID = "id";

    static {
        rehearse();
    }

    /// What a waiting call gets: a reply, or the reason why none will come.
    private sealed interface Outcome {
        record Reply(ObjectNode message) implements Outcome {}

        record Lost(IOException cause) implements Outcome {}
    }

    private final Address address;
    private final ByteChannel channel;
    private final Listener listener;
    private final Outbox outbox;
    private final AtomicLong nextId = new AtomicLong();
    private final Map<Long, BlockingQueue<Outcome>> waiting = new ConcurrentHashMap<>();
    private final AtomicReference<@Nullable IOException> end = new AtomicReference<>();

    private QmpClient(Address address, ByteChannel channel, Listener listener) {
        this.address = address;
        this.channel = channel;
        this.listener = listener;
        this.outbox = new Outbox(channel);
    }

    /// Writes and reads a message once. A fresh process takes long to load what does that, and a
    /// peer must not be thought late for it.
    private static void rehearse() {
        byte[] line = Json.line(Json.object().put("execute", QmpServer.NEGOTIATE).put(ID, 1));
        try (ReadableByteChannel channel = Channels.newChannel(new ByteArrayInputStream(line))) {
            Object _ = new JsonStream(channel, MESSAGE_BYTES_MAX).next();
        } catch (IOException e) {
            throw new IllegalStateException("it reads from memory", e);
        }
    }

    /// Connects and negotiates.
    ///
    /// @param timeout for all of it
    public static QmpClient connect(Address address, Duration timeout, Listener listener)
            throws IOException, InterruptedException {
        return connect(address, timeout, null, listener);
    }

    /// The same through TLS, unless `tls` is null.
    public static QmpClient connect(
            Address address, Duration timeout, @Nullable ClientTls tls, Listener listener)
            throws IOException, InterruptedException {
        SSLEngine engine = tls == null ? null : tls.newEngine(address);
        SocketChannel socket = open(address, timeout);
        ByteChannel channel = engine == null ? socket : TlsChannel.of(socket, engine);
        QmpClient client = new QmpClient(address, channel, listener);
        // The greeting comes unasked; it is waited for as the reply to request 0.
        BlockingQueue<Outcome> greeting = client.expect(client.nextId.getAndIncrement());
        Thread.ofPlatform().daemon().name("qmp-client-write " + address).start(client::write);
        Thread.ofPlatform().daemon().name("qmp-client-read " + address).start(client::read);
        boolean usable = false;
        try {
            ObjectNode first = client.await("the greeting", greeting, timeout);
            if (!first.has("QMP")) {
                throw new IOException(address + " does not greet as a QMP monitor");
            }
            client.execute(QmpServer.NEGOTIATE, Json.object(), timeout);
            usable = true;
            return client;
        } finally {
            if (!usable) {
                client.close();
            }
        }
    }

    /// Where this client is connected to.
    public Address address() {
        return address;
    }

    /// Runs a command and waits for its reply.
    ///
    /// @return the reply's `return` value
    /// @throws QmpException if the server answers an error
    /// @throws SocketTimeoutException if it does not answer in time; whether the command ran is
    ///     then unknown
    /// @throws IOException if the connection is lost, at once
    public JsonNode execute(String command, ObjectNode arguments, Duration timeout)
            throws IOException, InterruptedException {
        long id = nextId.getAndIncrement();
        ObjectNode request = Json.object().put("execute", command);
        if (!arguments.isEmpty()) {
            request.set("arguments", arguments);
        }
        request.put(ID, id);
        BlockingQueue<Outcome> reply = expect(id);
        try {
            if (!outbox.offer(Json.line(request), timeout) && end.get() == null) {
                throw new SocketTimeoutException(address + " does not read its commands");
            }
            return value(await("'" + command + "'", reply, timeout));
        } finally {
            waiting.remove(id);
        }
    }

    /// Whether the connection still stands, as far as is known.
    public boolean isOpen() {
        return end.get() == null;
    }

    /// Ends the connection; calls that wait fail.
    @Override
    public void close() {
        boolean _ = end(new IOException("the connection to %s was closed".formatted(address)));
    }

    private static SocketChannel open(Address address, Duration timeout) throws IOException {
        SocketChannel channel = address.openSocket();
        boolean connected = false;
        try {
            SocketAddress target = address.socketAddress();
            if (address instanceof Address.Tcp) {
                channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
                channel.socket().connect(target, Math.toIntExact(timeout.toMillis()));
            } else {
                channel.connect(target);
            }
            connected = true;
            return channel;
        } catch (IOException | UnresolvedAddressException e) {
            String reason =
                    e instanceof UnresolvedAddressException || e instanceof UnknownHostException
                            ? "the host is not known"
                            : String.valueOf(e.getMessage());
            throw new IOException("cannot connect to %s: %s".formatted(address, reason), e);
        } finally {
            if (!connected) {
                channel.close();
            }
        }
    }

    private BlockingQueue<Outcome> expect(long id) {
        BlockingQueue<Outcome> reply = new ArrayBlockingQueue<>(1);
        waiting.put(id, reply);
        IOException cause = end.get();
        if (cause != null) {
            boolean _ = reply.offer(new Outcome.Lost(cause));
        }
        return reply;
    }

    private ObjectNode await(String what, BlockingQueue<Outcome> reply, Duration timeout)
            throws IOException, InterruptedException {
        Outcome outcome = reply.poll(timeout.toNanos(), TimeUnit.NANOSECONDS);
        return switch (outcome) {
            case null ->
                    throw new SocketTimeoutException(
                            "%s did not answer %s within %d ms"
                                    .formatted(address, what, timeout.toMillis()));
            case Outcome.Reply answered -> answered.message();
            case Outcome.Lost lost ->
                    throw new IOException(String.valueOf(lost.cause().getMessage()), lost.cause());
        };
    }

    private JsonNode value(ObjectNode reply) throws IOException {
        JsonNode value = reply.get("return");
        if (value != null) {
            return value;
        }
        JsonNode error = reply.path("error");
        throw new QmpException(
                ErrorClass.of(error.path("class").asText()),
                error.path("desc").asText("an error without a description"));
    }

    private void write() {
        try {
            outbox.drainLoop();
        } catch (IOException e) {
            lose(e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void read() {
        try {
            JsonStream stream = new JsonStream(channel, MESSAGE_BYTES_MAX);
            boolean open = true;
            while (open) {
                open = accept(stream.next());
            }
        } catch (IOException e) {
            lose(e.getMessage());
        }
    }

    private boolean accept(JsonStream.@Nullable Item item) {
        switch (item) {
            case null -> lose("the peer hung up");
            case JsonStream.Item.Document(ObjectNode message) -> {
                dispatch(message);
                return true;
            }
            case JsonStream.Item.Document _ -> lose("the peer sent no JSON object");
            case JsonStream.Item.Malformed(String reason) ->
                    lose(
                            reason.contains("NBDMAGIC")
                                    ? "an NBD server is there, and no monitor"
                                    : "the peer sent no JSON: " + reason);
            case JsonStream.Item.TooLong(int limitBytes) ->
                    lose("the peer sent more than %d bytes at once".formatted(limitBytes));
        }
        return false;
    }

    private void dispatch(ObjectNode message) {
        if (message.path("event").isTextual()) {
            JsonNode data = message.get("data");
            listener.event(
                    new Event(
                            message.path("event").textValue(),
                            data instanceof ObjectNode object ? object : Json.object()));
            return;
        }
        BlockingQueue<Outcome> reply = waiting.get(message.path(ID).asLong(0));
        if (reply != null) {
            boolean _ = reply.offer(new Outcome.Reply(message));
        }
    }

    private void lose(@Nullable String reason) {
        IOException cause =
                new IOException("the connection to %s was lost: %s".formatted(address, reason));
        if (end(cause)) {
            listener.lost(cause);
        }
    }

    /// Ends everything once.
    ///
    /// @return false if it had ended before
    private boolean end(IOException cause) {
        if (!end.compareAndSet(null, cause)) {
            return false;
        }
        outbox.close();
        try {
            channel.close();
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
        for (BlockingQueue<Outcome> reply : waiting.values()) {
            boolean _ = reply.offer(new Outcome.Lost(cause));
        }
        return true;
    }
}
