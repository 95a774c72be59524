package dev.lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import dev.lockstep.nbd.Address;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/// A client that can misbehave: it writes bytes and reads lines.
final class RawClient implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    final SocketChannel channel;
    final JsonNode greeting;
    private final BufferedReader reader;

    /// Connects and reads the greeting.
    RawClient(Address address) throws IOException {
        channel = address.openSocket();
        channel.connect(address.socketAddress());
        reader =
                new BufferedReader(
                        Channels.newReader(channel, StandardCharsets.US_ASCII.newDecoder(), -1));
        greeting = next();
    }

    /// Connects and negotiates.
    static RawClient negotiated(Address address) throws IOException {
        RawClient client = new RawClient(address);
        JsonNode reply = client.ask("{'execute': 'qmp_capabilities'}");
        assertEquals("{\"return\":{}}", reply.toString());
        return client;
    }

    void send(String text) throws IOException {
        send(text.getBytes(StandardCharsets.UTF_8));
    }

    void send(byte[] bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    /// Sends a text and returns the next message.
    JsonNode ask(String text) throws IOException {
        send(text);
        return next();
    }

    /// Sends a text that has to fail, and returns the class and description of the error.
    String refusal(String text) throws IOException {
        JsonNode error = ask(text).path("error");
        return error.path("class").asText() + ": " + error.path("desc").asText();
    }

    JsonNode next() throws IOException {
        String line = reader.readLine();
        if (line == null) {
            throw new IOException("the server hung up");
        }
        return JSON.readTree(line);
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
