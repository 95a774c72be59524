package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.BufferedReader;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// A QMP client that shares no code with ours: a line out, lines in.
final class Monitor implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final SocketChannel channel;
    private final BufferedReader reader;
    private final List<JsonNode> events = new ArrayList<>();

    /// Connects to `unix:PATH` or `HOST:PORT` and leaves the negotiation behind.
    Monitor(String address) {
        try {
            boolean unix = address.startsWith("unix:");
            int colon = address.lastIndexOf(':');
            SocketAddress target =
                    unix
                            ? UnixDomainSocketAddress.of(address.substring("unix:".length()))
                            : new InetSocketAddress(
                                    address.substring(0, colon),
                                    Integer.parseInt(address.substring(colon + 1)));
            channel = unix ? SocketChannel.open(StandardProtocolFamily.UNIX) : SocketChannel.open();
            channel.connect(target);
            reader = new BufferedReader(Channels.newReader(channel, StandardCharsets.UTF_8));
            String line = reader.readLine();
            if (line == null) {
                throw new EOFException(address + " hung up");
            }
            JsonNode greeting = JSON.readTree(line);
            assertEquals(true, greeting.path("QMP").has("version"), greeting::toString);
            execute("qmp_capabilities", "{}");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// Runs a command that has to succeed; arguments are JSON.
    JsonNode execute(String command, String arguments) {
        JsonNode reply = reply(command, arguments);
        return reply.has("return") ? reply.get("return") : fail(command + ": " + reply);
    }

    /// Runs a command that has to fail, and returns the error.
    JsonNode executeFailing(String command, String arguments) {
        JsonNode reply = reply(command, arguments);
        return reply.has("error") ? reply.get("error") : fail(command + ": " + reply);
    }

    /// Runs a command whatever comes of it.
    JsonNode attempt(String command, String arguments) {
        return reply(command, arguments);
    }

    /// The events that came before the last reply.
    List<JsonNode> events() {
        return events;
    }

    boolean sawEvent(String name) {
        return events.stream().anyMatch(event -> event.path("event").asText().equals(name));
    }

    private JsonNode reply(String command, String arguments) {
        try {
            String line =
                    "{\"execute\": \"%s\", \"arguments\": %s}\n".formatted(command, arguments);
            channel.write(ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8)));
            while (true) {
                String received = reader.readLine();
                if (received == null) {
                    throw new EOFException("the monitor hung up");
                }
                JsonNode message = JSON.readTree(received);
                if (!message.has("event")) {
                    return message;
                }
                events.add(message);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
