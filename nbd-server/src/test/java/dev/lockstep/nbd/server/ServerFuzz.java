package dev.lockstep.nbd.server;

import static org.awaitility.Awaitility.await;

import com.code_intelligence.jazzer.api.FuzzedDataProvider;

import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/// A client that says anything at any point: the server answers or hangs up, logs no trouble of its
/// own, and holds nothing afterwards.
final class ServerFuzz {
    private static final int SIZE = 1 << 20;
    private static final ByteArrayOutputStream LOG = new ByteArrayOutputStream();
    private static final NbdServer SERVER = serve();

    private ServerFuzz() {}

    private static NbdServer serve() {
        System.setErr(new PrintStream(LOG, true, StandardCharsets.UTF_8));
        NbdServer server = NbdServer.start(Exports.of(new Export("disk", new MemoryDevice(SIZE))));
        try {
            Path socket = Files.createTempDirectory("fuzz").resolve("s");
            server.listen(new Address.Unix(socket));
            return server;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// What Jazzer calls.
    public static void fuzzerTestOneInput(FuzzedDataProvider data) {
        try (RawClient client = connect(data.consumeInt(0, 4))) {
            while (data.remainingBytes() > 0) {
                say(client, data);
            }
            client.socket.shutdownOutput();
            ByteBuffer replies = ByteBuffer.allocate(64 << 10);
            while (client.socket.read(replies.clear()) >= 0) {
                // Whatever it is.
            }
        } catch (IOException _) {
            // It hung up.
        }
        await().pollDelay(Duration.ZERO)
                .pollInterval(Duration.ofMillis(1))
                .until(() -> SERVER.connections().isEmpty());
        if (SERVER.heldBytes().get() != 0) {
            throw new AssertionError(SERVER.heldBytes() + " bytes are held");
        }
        if (LOG.size() > 0) {
            throw new AssertionError(LOG.toString(StandardCharsets.UTF_8));
        }
    }

    private static RawClient connect(int how) throws IOException {
        Address address = SERVER.addresses().getFirst();
        return switch (how) {
            case 0 -> RawClient.connect(address);
            case 1 -> RawClient.connect(address).flags(3);
            case 2 -> RawClient.simple(address, "disk");
            case 3 -> RawClient.structured(address, "disk");
            default -> RawClient.extended(address, "disk", "base:allocation");
        };
    }

    private static void say(RawClient client, FuzzedDataProvider data) throws IOException {
        int flags = data.consumeInt(0, 0x7f);
        int type = data.consumeInt(0, 9);
        switch (data.consumeInt(0, 3)) {
            case 0 -> client.send(ByteBuffer.wrap(data.consumeBytes(data.consumeInt(0, 100))));
            case 1 -> option(client, type, data.consumeBytes(data.consumeInt(0, 100)));
            case 2 -> {
                int length = data.consumeInt(0, SIZE / 2);
                client.send(RawClient.header(flags, type, 1, offset(data), length));
                payload(client, type == NbdProtocol.CMD_WRITE, length);
            }
            default -> {
                int length = data.consumeInt(0, SIZE / 2);
                client.send(RawClient.extendedHeader(flags, type, 1, offset(data), length));
                payload(client, (flags & NbdProtocol.CMD_FLAG_PAYLOAD_LEN) != 0, length);
            }
        }
    }

    private static long offset(FuzzedDataProvider data) {
        return data.consumeBoolean() ? data.consumeInt(0, SIZE) : data.consumeLong();
    }

    private static void payload(RawClient client, boolean sent, int length) throws IOException {
        if (sent) {
            client.send(ByteBuffer.allocate(length));
        }
    }

    private static void option(RawClient client, int code, byte[] data) throws IOException {
        client.send(
                ByteBuffer.allocate(NbdProtocol.OPTION_HEADER_BYTES + data.length)
                        .putLong(NbdProtocol.OPTION_MAGIC)
                        .putInt(code)
                        .putInt(data.length)
                        .put(data)
                        .flip());
    }
}
