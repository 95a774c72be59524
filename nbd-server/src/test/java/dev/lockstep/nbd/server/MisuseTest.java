package dev.lockstep.nbd.server;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// What a server does with clients that are wrong, hostile or gone.
class MisuseTest {
    private static final long SIZE = 4 << 20;
    private static final int TOO_LARGE = NbdProtocol.PAYLOAD_BYTES_MAX + 1;

    private final HeldDevice held = new HeldDevice(SIZE);
    private final MemoryDevice memory = new MemoryDevice("disk", SIZE);
    private NbdServer server =
            NbdServer.start(
                    Exports.of(
                            new Export("disk", new Gate(memory)),
                            new Export("frozen", Gate.readOnly(memory)),
                            new Export("held", new Gate(held))),
                    ServerOptions.DEFAULT.withHandshakeDeadline(Duration.ofSeconds(1)));
    private Address address = new Address.Tcp("127.0.0.1", 0);

    @BeforeEach
    void listen() throws IOException {
        address = server.listen(address);
    }

    @AfterEach
    void close() {
        held.letGo.countDown();
        server.closeNow();
        assertEquals(0, server.heldBytes().get(), "every byte that was held is released");
    }

    @Test
    void garbage_instead_of_a_request_ends_that_connection_only() throws IOException {
        try (RawClient good = RawClient.simple(address, "disk");
                RawClient bad = RawClient.simple(address, "disk")) {
            bad.send(
                    ByteBuffer.wrap(
                            "GET / HTTP/1.1\r\nHost: disk\r\n\r\n"
                                    .getBytes(StandardCharsets.UTF_8)));
            assertTrue(bad.isHungUp());
            assertWorks(good);
        }
    }

    @Test
    void random_bytes_at_any_point_never_stop_the_server() throws IOException {
        long seed = Long.getLong("LOCKSTEP_SEED", System.nanoTime());
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        for (int round = 0; round < 200; round++) {
            byte[] junk = new byte[random.nextInt(200)];
            random.nextBytes(junk);
            try (RawClient client =
                    random.nextBoolean()
                            ? RawClient.structured(address, "disk")
                            : RawClient.connect(address)) {
                if (random.nextBoolean()) {
                    client.send(
                            RawClient.header(
                                    random.nextInt(64),
                                    random.nextInt(10),
                                    1,
                                    random.nextLong(SIZE),
                                    random.nextInt(1 << 20)));
                }
                client.send(ByteBuffer.wrap(junk));
            } catch (IOException _) {
                // hung up on while still sending
            }
        }
        try (RawClient client = RawClient.simple(address, "disk")) {
            assertWorks(client);
        }
    }

    @Test
    void a_request_during_the_handshake_ends_the_session() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            client.request(NbdProtocol.CMD_READ, 1, 0, 512);
            assertTrue(client.isHungUp());
        }
    }

    @Test
    @Shows("soft.server-goes-on")
    void an_option_that_is_too_long_is_skipped_and_refused() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            int length = 1 << 20;
            client.send(
                    ByteBuffer.allocate(NbdProtocol.OPTION_HEADER_BYTES + length)
                            .putLong(NbdProtocol.OPTION_MAGIC)
                            .putInt(NbdProtocol.OPT_GO)
                            .putInt(length)
                            .rewind());
            OptionReply.Refusal refusal =
                    assertInstanceOf(OptionReply.Refusal.class, client.replies().getFirst());
            assertEquals(NbdProtocol.REP_ERR_TOO_BIG, refusal.type());
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
        }
    }

    @Test
    void a_handshake_that_trickles_is_dropped_at_its_deadline() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            client.send(ByteBuffer.wrap(new byte[] {'I', 'H', 'A', 'V'}));
            assertTrue(client.isHungUp());
        }
    }

    @Test
    @Shows("size.default-maximum")
    void a_payload_that_must_be_refused_is_read_and_refused() throws IOException {
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.write(7, SIZE - 10, new byte[11]);
            assertEquals(new RawClient.Simple(NbdProtocol.ENOSPC, 7), client.simpleReply());
            client.write(8, 0, new byte[NbdProtocol.PAYLOAD_BYTES_MAX]);
            assertEquals(new RawClient.Simple(NbdProtocol.ENOSPC, 8), client.simpleReply());
            assertWorks(client);
        }
    }

    @Test
    void a_payload_beyond_the_limit_drops_the_connection() throws IOException {
        for (String export : List.of("disk", "frozen")) {
            try (RawClient client = RawClient.simple(address, export)) {
                client.request(NbdProtocol.CMD_WRITE, 1, 0, TOO_LARGE);
                assertTrue(client.isHungUp());
            }
        }
    }

    @Test
    @Shows({"error.enospc", "error.einval", "size.range", "simple.data"})
    void beyond_the_end_writes_find_no_space_and_reads_are_invalid() throws IOException {
        try (RawClient client = RawClient.simple(address, "disk")) {
            assertError(client, NbdProtocol.CMD_READ, SIZE - 1, 2, NbdProtocol.EINVAL);
            assertError(client, NbdProtocol.CMD_READ, -1, 1, NbdProtocol.EINVAL);
            assertError(client, NbdProtocol.CMD_READ, Long.MAX_VALUE, 1, NbdProtocol.EINVAL);
            assertError(client, NbdProtocol.CMD_TRIM, SIZE, 1, NbdProtocol.EINVAL);
            assertError(client, NbdProtocol.CMD_CACHE, SIZE, 1, NbdProtocol.EINVAL);
            assertError(client, NbdProtocol.CMD_WRITE_ZEROES, 1, SIZE, NbdProtocol.ENOSPC);
            assertWorks(client);
        }
    }

    @Test
    @Shows({"flags.read-only", "error.eperm"})
    void a_read_only_export_permits_no_writing() throws IOException {
        try (RawClient client = RawClient.simple(address, "frozen")) {
            client.write(1, 0, new byte[4096]);
            assertEquals(new RawClient.Simple(NbdProtocol.EPERM, 1), client.simpleReply());
            assertError(client, NbdProtocol.CMD_TRIM, 0, 512, NbdProtocol.EPERM);
            assertError(client, NbdProtocol.CMD_WRITE_ZEROES, 0, 512, NbdProtocol.EPERM);
            client.request(NbdProtocol.CMD_READ, 2, 0, 16);
            assertEquals(new RawClient.Simple(0, 2), client.simpleReply());
        }
    }

    @Test
    @Shows({
        "error.command",
        "error.flag",
        "status.unselected",
        "read.simple-error",
        "baseline.next"
    })
    void flags_and_commands_that_are_not_known_are_invalid() throws IOException {
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.send(RawClient.header(1 << 9, NbdProtocol.CMD_READ, 1, 0, 512));
            assertEquals(new RawClient.Simple(NbdProtocol.EINVAL, 1), client.simpleReply());
            client.send(RawClient.header(NbdProtocol.CMD_FLAG_DF, NbdProtocol.CMD_READ, 2, 0, 512));
            assertEquals(new RawClient.Simple(NbdProtocol.EINVAL, 2), client.simpleReply());
            assertError(client, 99, 0, 0, NbdProtocol.EINVAL);
            assertError(client, NbdProtocol.CMD_BLOCK_STATUS, 0, 512, NbdProtocol.EINVAL);
            assertWorks(client);
        }
    }

    @Test
    @Shows({"structured.errors", "chunk.error", "structured.read"})
    void a_client_that_understands_chunks_gets_errors_in_words() throws IOException {
        try (RawClient client = RawClient.structured(address, "disk")) {
            client.request(NbdProtocol.CMD_READ, 5, SIZE, 1);
            RawClient.Chunk chunk = client.chunk();
            assertEquals(NbdProtocol.REPLY_TYPE_ERROR, chunk.type());
            assertTrue(chunk.isLast());
            assertEquals(NbdProtocol.EINVAL, chunk.payload().getInt());
            assertEquals(chunk.payload().getShort(), chunk.payload().remaining());
        }
    }

    @Test
    void a_connection_that_is_cut_in_the_middle_of_a_payload_writes_at_most_what_it_sent()
            throws IOException {
        byte[] half = new byte[1 << 19];
        Arrays.fill(half, (byte) 1);
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.request(NbdProtocol.CMD_WRITE, 1, 0, 1 << 20);
            client.send(ByteBuffer.wrap(half));
        }
        await().until(() -> server.connections().isEmpty());
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.request(NbdProtocol.CMD_READ, 1, 0, 1 << 20);
            client.simpleReply();
            ByteBuffer found = client.receive(1 << 20);
            int written = found.mismatch(ByteBuffer.wrap(half));
            assertEquals(0, written % 4096, "ends within a page");
            found.position(written);
            assertEquals(-1, found.mismatch(ByteBuffer.allocate(found.remaining())));
        }
    }

    @Test
    void a_flood_of_reads_whose_replies_are_not_read_is_held_back() throws IOException {
        try (RawClient flood = RawClient.simple(address, "disk");
                RawClient other = RawClient.simple(address, "disk")) {
            flood.socket.configureBlocking(false);
            ByteBuffer requests = ByteBuffer.allocate(NbdProtocol.REQUEST_BYTES * 1000);
            while (requests.hasRemaining()) {
                requests.put(RawClient.header(0, NbdProtocol.CMD_READ, 1, 0, 1 << 20));
            }
            requests.flip();
            await().pollInterval(Duration.ofMillis(20))
                    .during(Duration.ofMillis(300))
                    .atMost(Duration.ofSeconds(60))
                    .until(() -> flood.socket.write(requests.rewind()) == 0);
            long bound = Allowance.CONNECTION_BYTES_MAX + LoopBuffers.REPLY_BYTES;
            assertTrue(server.heldBytes().get() <= bound, "held " + server.heldBytes());
            assertWorks(other);
        }
    }

    @Test
    void a_flood_of_small_reads_whose_replies_are_not_read_is_held_back() throws IOException {
        try (RawClient flood = RawClient.simple(address, "disk")) {
            flood.socket.configureBlocking(false);
            ByteBuffer requests = ByteBuffer.allocate(NbdProtocol.REQUEST_BYTES * 1000);
            while (requests.hasRemaining()) {
                requests.put(RawClient.header(0, NbdProtocol.CMD_READ, 1, 0, 4096));
            }
            await().pollInterval(Duration.ofMillis(20))
                    .during(Duration.ofMillis(300))
                    .atMost(Duration.ofSeconds(60))
                    .until(() -> flood.socket.write(requests.rewind()) == 0);
            long bound = Allowance.CONNECTION_BYTES_MAX + LoopBuffers.REPLY_BYTES;
            assertTrue(server.heldBytes().get() <= bound, "held " + server.heldBytes());
        }
    }

    @Test
    void requests_that_hang_do_not_keep_others_from_their_answers() throws IOException {
        try (RawClient client = RawClient.simple(address, "held")) {
            client.request(NbdProtocol.CMD_READ, 1, HeldDevice.HELD_FROM, 512);
            await().until(() -> held.held.get() == 1);
            client.request(NbdProtocol.CMD_READ, 2, 0, 512);
            assertEquals(new RawClient.Simple(0, 2), client.simpleReply());
            client.receive(512);
            held.letGo.countDown();
            assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
        }
    }

    @Test
    @Shows("export-name.unwilling")
    void an_export_name_that_is_not_there_hangs_up() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            assertThrows(EOFException.class, () -> client.ask(new Option.ExportName("nope")));
        }
    }

    private static void assertError(RawClient client, int type, long offset, long length, int error)
            throws IOException {
        client.request(type, 42, offset, length);
        assertEquals(new RawClient.Simple(error, 42), client.simpleReply());
    }

    private static void assertWorks(RawClient client) throws IOException {
        client.request(NbdProtocol.CMD_READ, 77, 0, 4096);
        assertEquals(new RawClient.Simple(0, 77), client.simpleReply());
        client.receive(4096);
    }
}
