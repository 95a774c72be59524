package dev.lockstep.nbd.server;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.MarkedBytes;
import dev.lockstep.nbd.MetaContext;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.client.RemoteOptions;
import dev.lockstep.nbd.client.RemoteServer;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// Clients that ask for much, trickle or stall, beside one that does nothing wrong.
class FloodTest {
    private static final long SIZE = 64 << 20;
    private static final int EXPORTS = 8000;
    private static final int CONTEXTS = 2000;

    /// Longer than any name in the lists, of letters that take two bytes each.
    private static final String LONGEST = "é".repeat(NbdProtocol.STRING_BYTES_MAX / 2);

    /// As many extents as there are blocks of 512 bytes.
    private static final MarkedBytes EVERY_OTHER_BLOCK =
            new MarkedBytes() {
                @Override
                public long nextMarked(long offset) {
                    return next(offset, 1);
                }

                @Override
                public long nextUnmarked(long offset) {
                    return next(offset, 0);
                }

                private static long next(long offset, int parity) {
                    return offset / 512 % 2 == parity ? offset : (offset / 512 + 1) * 512;
                }
            };

    private final MemoryDevice memory = new MemoryDevice("disk", SIZE);
    private final NbdServer server =
            NbdServer.start(
                    Exports.of(exports()),
                    ServerOptions.DEFAULT.withHandshakeDeadline(Duration.ofSeconds(3)));
    @TempDir private Path folder;
    private Address address = Address.loopback();

    private Export[] exports() {
        Export disk = new Export("disk", new Gate(memory));
        for (int i = 0; i < CONTEXTS; i++) {
            disk = disk.withContext(MetaContext.dirtyBitmap("bitmap-" + i, EVERY_OTHER_BLOCK));
        }
        return Stream.concat(
                        Stream.of(disk, new Export(LONGEST, new Gate(memory))),
                        IntStream.range(0, EXPORTS)
                                .mapToObj(
                                        i ->
                                                new Export(
                                                        "export-" + i,
                                                        "a description ".repeat(80),
                                                        new Gate(memory))))
                .toArray(Export[]::new);
    }

    @BeforeEach
    void listen() throws IOException {
        address = server.listen(new Address.Unix(folder.resolve("s")));
    }

    @AfterEach
    void close() {
        server.closeNow();
        assertEquals(0, server.heldBytes().get(), "every byte that was held is released");
    }

    @Test
    void thousands_of_exports_and_contexts_are_listed_to_whoever_reads_them() throws IOException {
        try (RemoteServer client = RemoteServer.connect(options())) {
            assertEquals(EXPORTS + 2, client.exports().size());
            assertEquals(CONTEXTS, client.contexts("disk", List.of("qemu:")).size());
            assertEquals(SIZE, client.describe("export-7").size());
        }
    }

    @Test
    void whoever_asks_for_lists_and_does_not_read_them_is_hung_up_on() throws IOException {
        try (RawClient flood = RawClient.connect(address).flags(3);
                RawClient other = RawClient.simple(address, "disk")) {
            ByteBuffer list = OptionCodec.encode(new Option.ListExports());
            await().until(
                            () -> {
                                try {
                                    flood.send(list.duplicate());
                                    return server.connections().size() == 1;
                                } catch (IOException _) {
                                    return true;
                                }
                            });
            assertWorks(other);
        }
    }

    @Test
    void names_as_long_as_they_may_be_are_served_and_those_that_are_no_utf_8_refused()
            throws IOException {
        try (RawClient client = RawClient.simple(address, LONGEST)) {
            assertWorks(client);
        }
        try (RawClient client = RawClient.connect(address).flags(3)) {
            for (byte[] name :
                    List.of(
                            new byte[] {'d', (byte) 0xff},
                            new byte[] {(byte) 0xc3},
                            new byte[] {(byte) 0xed, (byte) 0xa0, (byte) 0x80},
                            new byte[] {'d', 'i', 's', 'k', 0},
                            (LONGEST + "x").getBytes(StandardCharsets.UTF_8))) {
                int length = 4 + name.length + 2;
                client.send(
                        ByteBuffer.allocate(NbdProtocol.OPTION_HEADER_BYTES + length)
                                .putLong(NbdProtocol.OPTION_MAGIC)
                                .putInt(NbdProtocol.OPT_GO)
                                .putInt(length)
                                .putInt(name.length)
                                .put(name)
                                .putShort((short) 0)
                                .flip());
                assertInstanceOf(OptionReply.Refusal.class, client.replies().getLast());
            }
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
        }
    }

    @Test
    void an_option_that_comes_byte_by_byte_has_no_more_time_than_any_other() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            ByteBuffer header =
                    ByteBuffer.allocate(NbdProtocol.OPTION_HEADER_BYTES)
                            .putLong(NbdProtocol.OPTION_MAGIC)
                            .putInt(NbdProtocol.OPT_GO)
                            .putInt(OptionCodec.OPTION_BYTES_MAX)
                            .flip();
            client.send(header);
            await().atMost(Duration.ofSeconds(10))
                    .until(
                            () -> {
                                try {
                                    client.send(ByteBuffer.allocate(1));
                                    return server.connections().isEmpty();
                                } catch (IOException _) {
                                    return true;
                                }
                            });
        }
    }

    @Test
    void a_request_that_comes_byte_by_byte_is_answered_like_any_other() throws IOException {
        try (RawClient client = RawClient.simple(address, "disk")) {
            ByteBuffer write =
                    ByteBuffer.allocate(NbdProtocol.REQUEST_BYTES + 512)
                            .put(RawClient.header(0, NbdProtocol.CMD_WRITE, 3, 1024, 512));
            for (byte part : write.array()) {
                client.send(ByteBuffer.wrap(new byte[] {part}));
            }
            assertEquals(new RawClient.Simple(0, 3), client.simpleReply());
            assertWorks(client);
        }
    }

    @Test
    void who_announces_large_writes_and_sends_nothing_takes_no_room_from_others()
            throws IOException {
        List<RawClient> stalled = new ArrayList<>();
        try (RawClient other = RawClient.simple(address, "disk")) {
            for (int i = 0; i < 20; i++) {
                RawClient client = RawClient.simple(address, "export-" + i);
                stalled.add(client);
                client.request(NbdProtocol.CMD_WRITE, 1, 0, NbdProtocol.PAYLOAD_BYTES_MAX);
                client.send(ByteBuffer.allocate(100));
            }
            assertTimeoutPreemptively(
                    Duration.ofSeconds(10),
                    () -> {
                        byte[] mebibyte = new byte[1 << 20];
                        for (int i = 0; i < 100; i++) {
                            other.write(i, 0, mebibyte);
                            assertEquals(new RawClient.Simple(0, i), other.simpleReply());
                        }
                    });
        } finally {
            for (RawClient client : stalled) {
                client.close();
            }
        }
    }

    @Test
    void questions_about_all_extents_that_nobody_reads_the_answers_to_are_held_back()
            throws IOException {
        try (RawClient flood = RawClient.extended(address, "disk", contexts());
                RawClient other = RawClient.simple(address, "disk")) {
            flood.socket.configureBlocking(false);
            ByteBuffer requests = ByteBuffer.allocate(NbdProtocol.EXTENDED_REQUEST_BYTES * 1000);
            while (requests.hasRemaining()) {
                requests.put(RawClient.extendedHeader(0, NbdProtocol.CMD_BLOCK_STATUS, 1, 0, SIZE));
            }
            await().pollInterval(Duration.ofMillis(20))
                    .during(Duration.ofMillis(300))
                    .atMost(Duration.ofSeconds(60))
                    .until(() -> flood.socket.write(requests.rewind()) == 0);
            long bound = Allowance.CONNECTION_BYTES_MAX + LoopBuffers.REPLY_BYTES;
            assertTrue(server.heldBytes().get() <= bound, "held " + server.heldBytes());
            assertTimeoutPreemptively(
                    Duration.ofSeconds(10),
                    () -> {
                        for (int i = 0; i < 100; i++) {
                            assertWorks(other);
                        }
                    });
        }
    }

    /// As many as one option may ask for.
    private static String[] contexts() {
        return IntStream.range(0, OptionCodec.META_QUERIES_MAX)
                .mapToObj(i -> "qemu:dirty-bitmap:bitmap-" + i)
                .toArray(String[]::new);
    }

    private static void assertWorks(RawClient client) throws IOException {
        client.request(NbdProtocol.CMD_READ, 77, 0, 4096);
        assertEquals(new RawClient.Simple(0, 77), client.simpleReply());
        client.receive(4096);
    }

    private RemoteOptions options() {
        return RemoteOptions.of(new NbdUri(address, "disk"));
    }
}
