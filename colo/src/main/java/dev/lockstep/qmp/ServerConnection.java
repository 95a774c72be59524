package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.channels.ByteChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// One client of a server: its negotiation, its commands one after the other, its events.
final class ServerConnection implements Caller {
    private static final Logger LOG = LoggerFactory.getLogger(ServerConnection.class);

    /// One command. The schema's longest arguments are names and addresses.
    private static final int COMMAND_BYTES_MAX = 1 << 20;

    /// How long a reply waits for room in the outbox of a client that does not read.
    private static final Duration REPLY_PATIENCE = Duration.ofSeconds(10);

    private final QmpServer server;
    private final ByteChannel channel;
    private final long number;
    private final String description;
    private final Outbox outbox;

    /// Guards: goneActions, gone.
    private final ReentrantLock lock = new ReentrantLock();

    private final List<Runnable> goneActions = new ArrayList<>();
    private boolean gone;
    private volatile boolean negotiated;

    ServerConnection(QmpServer server, ByteChannel channel, long number, String description) {
        this.server = server;
        this.channel = channel;
        this.number = number;
        this.description = description;
        this.outbox = new Outbox(channel);
    }

    void start() {
        Thread.ofPlatform().daemon().name("qmp-write " + description).start(this::write);
        Thread.ofPlatform().daemon().name("qmp-read " + description).start(this::read);
    }

    /// Counts the connections of a server.
    long number() {
        return number;
    }

    /// Whether it has proved to be a client, by ending the negotiation.
    boolean isNegotiated() {
        return negotiated;
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public void whenGone(Runnable action) {
        lock.lock();
        try {
            if (!gone) {
                goneActions.add(action);
                return;
            }
        } finally {
            lock.unlock();
        }
        action.run();
    }

    @Override
    public void disconnect() {
        List<Runnable> actions;
        lock.lock();
        try {
            if (gone) {
                return;
            }
            gone = true;
            actions = List.copyOf(goneActions);
        } finally {
            lock.unlock();
        }
        outbox.close();
        try {
            channel.close();
        } catch (IOException e) {
            LOG.debug("{}: closing: {}", description, e.getMessage());
        }
        server.forget(this);
        actions.forEach(Runnable::run);
    }

    /// Sends an event if the client is past its negotiation. A client that has let its outbox fill
    /// up is dropped.
    void event(byte[] message) {
        if (negotiated && !outbox.offer(message)) {
            LOG.warn("{} does not read its events and is dropped", description);
            disconnect();
        }
    }

    /// Gives queued messages a moment to leave, then ends the connection.
    void finish(Duration patience) throws InterruptedException {
        outbox.awaitEmpty(patience);
        disconnect();
    }

    private void write() {
        try {
            outbox.drainLoop();
        } catch (IOException e) {
            LOG.debug("{}: {}", description, e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            disconnect();
        }
    }

    private void read() {
        try {
            JsonStream stream = new JsonStream(channel, COMMAND_BYTES_MAX);
            boolean open = outbox.offer(server.greeting());
            while (open) {
                open = answer(stream.next());
            }
        } catch (IOException e) {
            LOG.debug("{}: {}", description, e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            disconnect();
        }
    }

    private boolean answer(JsonStream.@Nullable Item item) throws InterruptedException {
        return switch (item) {
            case null -> false;
            case JsonStream.Item.Document document -> send(execute(document.json()));
            case JsonStream.Item.Malformed malformed ->
                    send(error(new QmpException("JSON parse error, " + malformed.reason())));
            case JsonStream.Item.TooLong tooLong -> {
                send(
                        error(
                                new QmpException(
                                        "a command is longer than %d bytes"
                                                .formatted(tooLong.limitBytes()))));
                outbox.awaitEmpty(REPLY_PATIENCE);
                yield false;
            }
        };
    }

    private boolean send(ObjectNode reply) throws InterruptedException {
        if (outbox.offer(Json.line(reply), REPLY_PATIENCE)) {
            return true;
        }
        if (channel.isOpen()) {
            LOG.warn("{} does not read its replies and is dropped", description);
        }
        return false;
    }

    private ObjectNode execute(JsonNode document) throws InterruptedException {
        ObjectNode reply = outcome(document);
        JsonNode id = document.get("id");
        if (id != null) {
            reply.set("id", id);
        }
        return reply;
    }

    private ObjectNode outcome(JsonNode document) throws InterruptedException {
        try {
            Commands.Request request = Commands.request(document);
            boolean negotiation = request.command().equals(QmpServer.NEGOTIATE);
            if (negotiated == negotiation) {
                throw Commands.notFound(
                        negotiated
                                ? "The capabilities have been negotiated already"
                                : "Before any other command, '%s' ends the negotiation"
                                        .formatted(QmpServer.NEGOTIATE));
            }
            JsonNode value = server.run(request, this);
            negotiated = true;
            ObjectNode reply = Json.object();
            reply.set("return", value);
            return reply;
        } catch (QmpException e) {
            return error(e);
        } catch (IOException e) {
            return error(new QmpException(String.valueOf(e.getMessage())));
        } catch (RuntimeException e) {
            LOG.error("{}: a command failed unexpectedly: {}", description, document, e);
            return error(new QmpException("internal error: " + e));
        }
    }

    private static ObjectNode error(QmpException e) {
        ObjectNode reply = Json.object();
        reply.putObject("error")
                .put("class", e.errorClass().wireName())
                .put("desc", e.description());
        return reply;
    }
}
