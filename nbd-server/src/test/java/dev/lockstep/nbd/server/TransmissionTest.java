package dev.lockstep.nbd.server;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/// What a server answers to clients that are right.
class TransmissionTest {
    private static final int SIZE = 4 << 20;

    private static final Address LOOPBACK = new Address.Tcp("127.0.0.1", 0);
    private static final Gate LARGE = new Gate(new MemoryDevice("large", 1L << 30));

    private final MemoryDevice memory = new MemoryDevice("disk", SIZE);

    /// The same size without a fast path, so that every request takes the slow one.
    private final HeldDevice held = new HeldDevice(SIZE);

    private final NbdServer server =
            NbdServer.start(
                    Exports.of(
                            new Export("disk", new Gate(memory)),
                            new Export("held", new Gate(held))));
    private Address address = new Address.Tcp("localhost", 0);

    @TempDir private Path folder;

    @BeforeEach
    void listen() throws IOException {
        held.letGo.countDown();
        address = server.listen(new Address.Unix(folder.resolve("nbd.sock")));
    }

    @AfterEach
    void close() {
        server.close();
        assertEquals(0, server.heldBytes().get(), "every byte that was held is released");
    }

    @Test
    @Shows({"write.first", "size.default-minimum"})
    void what_was_written_in_any_size_and_way_reads_back() throws Exception {
        long seed = Long.getLong("LOCKSTEP_SEED", System.nanoTime());
        System.out.println("seed " + seed);
        for (String export : List.of("disk", "held")) {
            try (RawClient client = RawClient.simple(address, export)) {
                writeAndReadBack(client, new Random(seed));
            }
        }
    }

    private static void writeAndReadBack(RawClient client, Random random) throws IOException {
        byte[] model = new byte[SIZE];
        int[] sizes = {1, 511, 4096, 65536, 65537, 300_000, 1 << 20, SIZE};
        for (int round = 0; round < 100; round++) {
            int length = sizes[random.nextInt(sizes.length)];
            int offset = random.nextInt(SIZE - length + 1);
            byte[] bytes = new byte[length];
            if (random.nextInt(4) > 0) {
                random.nextBytes(bytes);
            }
            System.arraycopy(bytes, 0, model, offset, length);
            client.write(round, offset, bytes);
            assertEquals(new RawClient.Simple(0, round), client.simpleReply());
            int readLength = sizes[random.nextInt(sizes.length)];
            int readOffset = random.nextInt(SIZE - readLength + 1);
            client.request(NbdProtocol.CMD_READ, round, readOffset, readLength);
            assertEquals(new RawClient.Simple(0, round), client.simpleReply());
            assertEquals(
                    ByteBuffer.wrap(model, readOffset, readLength), client.receive(readLength));
        }
    }

    @Test
    @Shows("cookie.echo")
    void many_requests_in_one_piece_are_all_answered() throws IOException {
        for (String export : List.of("disk", "held")) {
            try (RawClient client = RawClient.simple(address, export)) {
                int count = 500;
                ByteBuffer requests =
                        ByteBuffer.allocate(count * (2 * NbdProtocol.REQUEST_BYTES + 4096));
                for (int i = 0; i < count; i++) {
                    requests.put(RawClient.header(0, NbdProtocol.CMD_WRITE, i, i * 4096L, 4096));
                    requests.put(new byte[4096]);
                    requests.put(RawClient.header(0, NbdProtocol.CMD_FLUSH, count + i, 0, 0));
                }
                client.send(requests.flip());
                Map<Long, Integer> answers = new HashMap<>();
                for (int i = 0; i < 2 * count; i++) {
                    RawClient.Simple reply = client.simpleReply();
                    assertEquals(0, reply.error());
                    answers.merge(reply.cookie(), 1, Integer::sum);
                }
                assertEquals(2 * count, answers.size());
            }
        }
    }

    @Test
    @Shows({"read.cover", "structured.done-last", "chunk.bounds", "simple.data"})
    void a_read_of_zeroes_is_answered_with_holes() throws Exception {
        int piece = ZeroRuns.PIECE_BYTES;
        byte[] data = new byte[piece];
        data[piece - 1] = 9;
        memory.write(2L * piece, ByteBuffer.wrap(data), WriteFlag.NONE);
        try (RawClient client = RawClient.structured(address, "disk")) {
            client.request(NbdProtocol.CMD_READ, 3, 0, 5L * piece + 10);
            assertHole(client.chunk(), 0, 2 * piece);
            RawClient.Chunk middle = client.chunk();
            assertEquals(NbdProtocol.REPLY_TYPE_OFFSET_DATA, middle.type());
            assertEquals(2L * piece, middle.payload().getLong());
            assertEquals(ByteBuffer.wrap(data), middle.payload());
            assertHole(client.chunk(), 3 * piece, 2 * piece);
            RawClient.Chunk last = client.chunk();
            assertTrue(last.isLast());
            assertEquals(8 + 10, last.payload().remaining());
        }
    }

    @Test
    @Shows({"read.df", "read.df-64k", "structured.few"})
    void a_read_that_is_not_to_be_fragmented_comes_in_one_chunk() throws IOException {
        try (RawClient client = RawClient.structured(address, "disk")) {
            client.send(
                    RawClient.header(NbdProtocol.CMD_FLAG_DF, NbdProtocol.CMD_READ, 3, 0, 1 << 20));
            RawClient.Chunk chunk = client.chunk();
            assertTrue(chunk.isLast());
            assertEquals(8 + (1 << 20), chunk.payload().remaining());
        }
    }

    @Test
    @Shows("error.eoverflow")
    void a_read_that_is_too_long_is_refused_and_the_next_is_answered() throws IOException {
        long length = NbdProtocol.PAYLOAD_BYTES_MAX + 1L;
        try (NbdServer large = NbdServer.start(Exports.of(new Export("large", LARGE)));
                RawClient client = RawClient.structured(large.listen(LOOPBACK), "large")) {
            client.request(NbdProtocol.CMD_READ, 1, 0, length);
            RawClient.Chunk refusal = client.chunk();
            assertEquals(NbdProtocol.REPLY_TYPE_ERROR, refusal.type());
            assertEquals(NbdProtocol.EOVERFLOW, refusal.payload().getInt());
            client.request(NbdProtocol.CMD_FLUSH, 2, 0, 0);
            assertEquals(new RawClient.Simple(0, 2), client.simpleReply());
        }
    }

    @Test
    @Shows("chunk.error-offset")
    void an_error_tells_up_to_where_the_request_was_done() throws IOException {
        int damaged = 1 << 20;
        Gate gate = new Gate(new DamagedDevice(SIZE, damaged));
        try (NbdServer broken = NbdServer.start(Exports.of(new Export("broken", gate)));
                RawClient client = RawClient.structured(broken.listen(LOOPBACK), "broken")) {
            client.request(NbdProtocol.CMD_READ, 1, 4096, 2 << 20);
            RawClient.Chunk chunk = client.chunk();
            long next = 4096;
            while (!chunk.isLast()) {
                assertEquals(next, chunk.payload().getLong());
                next += chunk.payload().remaining();
                chunk = client.chunk();
            }
            assertTrue(next > 4096, "some pieces came before the damage");
            assertEquals(next, errorOffset(chunk));
            client.request(NbdProtocol.CMD_TRIM, 2, 4096, 2 << 20);
            assertEquals(4096, errorOffset(client.chunk()));
            client.request(NbdProtocol.CMD_CACHE, 3, 0, 3 << 20);
            assertEquals(damaged, errorOffset(client.chunk()));
        }
    }

    private static long errorOffset(RawClient.Chunk chunk) {
        assertEquals(NbdProtocol.REPLY_TYPE_ERROR_OFFSET, chunk.type());
        assertTrue(chunk.isLast());
        assertEquals(NbdProtocol.EIO, chunk.payload().getInt());
        int words = chunk.payload().getShort();
        return chunk.payload().getLong(chunk.payload().position() + words);
    }

    private static void assertHole(RawClient.Chunk chunk, int offset, int length) {
        assertEquals(NbdProtocol.REPLY_TYPE_OFFSET_HOLE, chunk.type());
        assertEquals(offset, chunk.payload().getLong());
        assertEquals(length, chunk.payload().getInt());
    }

    @Test
    @Shows({
        "status.per-context",
        "status.consecutive",
        "status.merged",
        "cmd.req-one",
        "chunk.status-size",
        "allocation.flags"
    })
    void block_status_tells_holes_from_data() throws Exception {
        memory.write(1 << 20, ByteBuffer.allocateDirect(1 << 20), WriteFlag.NONE);
        try (RawClient client = RawClient.structured(address, "disk")) {
            client.request(NbdProtocol.CMD_BLOCK_STATUS, 4, 0, SIZE);
            RawClient.Chunk chunk = client.chunk();
            assertEquals(NbdProtocol.REPLY_TYPE_BLOCK_STATUS, chunk.type());
            chunk.payload().getInt();
            assertEquals(1 << 20, chunk.payload().getInt());
            assertEquals(NbdProtocol.STATE_HOLE | NbdProtocol.STATE_ZERO, chunk.payload().getInt());
            assertEquals(1 << 20, chunk.payload().getInt());
            assertEquals(0, chunk.payload().getInt());
            client.send(
                    RawClient.header(
                            NbdProtocol.CMD_FLAG_REQ_ONE,
                            NbdProtocol.CMD_BLOCK_STATUS,
                            5,
                            0,
                            4096));
            RawClient.Chunk one = client.chunk();
            assertEquals(4 + 8, one.payload().remaining());
            one.payload().getInt();
            assertEquals(4096, one.payload().getInt());
        }
    }

    @Test
    @Shows({"cmd.fua-everywhere", "cache.same", "zeroes.read-back"})
    void zeroes_trims_caches_and_flushes_are_done() throws Exception {
        byte[] ones = new byte[8192];
        Arrays.fill(ones, (byte) 1);
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.write(1, 0, ones).simpleReply();
            for (int type :
                    List.of(
                            NbdProtocol.CMD_CACHE,
                            NbdProtocol.CMD_TRIM,
                            NbdProtocol.CMD_WRITE_ZEROES)) {
                client.send(RawClient.header(NbdProtocol.CMD_FLAG_FUA, type, type, 0, 4096));
                assertEquals(new RawClient.Simple(0, type), client.simpleReply());
            }
            client.request(NbdProtocol.CMD_READ, 9, 0, 8192).simpleReply();
            byte[] expected = ones.clone();
            Arrays.fill(expected, 0, 4096, (byte) 0);
            assertArrayEquals(expected, client.receive(8192).array());
        }
    }

    @Test
    @Shows({"read.zero", "write.zero", "chunk.none"})
    void a_request_of_no_bytes_succeeds() throws IOException {
        try (RawClient client = RawClient.simple(address, "disk")) {
            for (int type : List.of(NbdProtocol.CMD_READ, NbdProtocol.CMD_WRITE)) {
                client.request(type, type, SIZE, 0);
                assertEquals(new RawClient.Simple(0, type), client.simpleReply());
            }
        }
        try (RawClient client = RawClient.structured(address, "disk")) {
            client.request(NbdProtocol.CMD_READ, 1, 0, 0);
            assertEquals(NbdProtocol.REPLY_TYPE_NONE, client.chunk().type());
        }
    }

    @Test
    @Shows({"export-name.size", "size.unasked", "simple.default"})
    void a_client_of_the_oldest_kind_is_served() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(0)) {
            client.send(OptionCodec.encode(new Option.ExportName("disk")));
            assertEquals(SIZE, client.receive(8).getLong());
            client.receive(2 + NbdProtocol.EXPORT_NAME_PADDING_BYTES);
            client.request(NbdProtocol.CMD_READ, 1, 0, 512);
            assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
        }
    }

    @Test
    @Shows("disc.answers")
    void an_end_of_the_stream_lets_what_was_asked_be_answered() throws IOException {
        BlockDevice device = new HeldDevice(SIZE);
        try (NbdServer slow = NbdServer.start(Exports.of(new Export("slow", new Gate(device))));
                RawClient client =
                        RawClient.simple(slow.listen(new Address.Tcp("127.0.0.1", 0)), "slow")) {
            HeldDevice slowDevice = (HeldDevice) device;
            for (int cookie = 0; cookie < 20; cookie++) {
                client.write(cookie, HeldDevice.HELD_FROM, new byte[100_000]);
            }
            client.socket.shutdownOutput();
            await().until(() -> slowDevice.held.get() == 20);
            slowDevice.letGo.countDown();
            for (int i = 0; i < 20; i++) {
                assertEquals(0, client.simpleReply().error());
            }
            assertTrue(client.isHungUp());
        }
    }

    @Test
    @Shows("disc.answers")
    void a_disconnect_lets_what_was_asked_be_answered() throws IOException {
        try (RawClient client = RawClient.simple(address, "held")) {
            client.request(NbdProtocol.CMD_READ, 1, 0, 3 << 20);
            client.request(NbdProtocol.CMD_DISC, 2, 0, 0);
            assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
            client.receive(3 << 20);
            assertTrue(client.isHungUp());
        }
    }
}
