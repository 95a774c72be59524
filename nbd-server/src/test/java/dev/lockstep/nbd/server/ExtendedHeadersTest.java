package dev.lockstep.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.MarkedBytes;
import dev.lockstep.nbd.MetaContext;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Requests and replies with headers of 32 bytes.
class ExtendedHeadersTest {
    /// More than lengths of 32 bits reach.
    private static final long SIZE = 1L << 40;

    private static final int PAYLOAD_LEN = NbdProtocol.CMD_FLAG_PAYLOAD_LEN;
    private static final int CLUSTER = 64 << 10;

    private final MemoryDevice memory = new MemoryDevice("disk", SIZE);
    private final ClusterBitmap dirty = new ClusterBitmap(SIZE / CLUSTER);
    private final NbdServer server = NbdServer.start(Exports.of(export("disk"), export("other")));
    private Address address = new Address.Tcp("localhost", 0);

    @TempDir private Path folder;

    @BeforeEach
    void listen() throws IOException {
        address = server.listen(new Address.Unix(folder.resolve("nbd.sock")));
    }

    @AfterEach
    void close() {
        server.close();
        assertEquals(0, server.heldBytes().get(), "every byte that was held is released");
    }

    private Export export(String name) {
        Gate root = new Gate(memory);
        return new Export(name, root)
                .withContext(MetaContext.allocationDepth(root))
                .withContext(MetaContext.dirtyBitmap("b", MarkedBytes.of(dirty, CLUSTER)));
    }

    @Test
    @Shows({
        "extended.reply",
        "extended.offset",
        "extended.headers",
        "simple.not-extended",
        "extended.go",
        "extended.alone"
    })
    void every_reply_has_an_extended_header_with_the_offset_of_its_request() throws IOException {
        try (RawClient client = RawClient.extended(address, "disk")) {
            for (int type :
                    List.of(
                            NbdProtocol.CMD_TRIM,
                            NbdProtocol.CMD_CACHE,
                            NbdProtocol.CMD_WRITE_ZEROES,
                            NbdProtocol.CMD_FLUSH)) {
                int length = type == NbdProtocol.CMD_FLUSH ? 0 : 8192;
                client.send(RawClient.extendedHeader(0, type, 7, 2L * length, length));
                assertDone(client.extendedChunk(), 7, 2L * length);
            }
            write(client, 8, 4096, new byte[4096]);
            assertDone(client.extendedChunk(), 8, 4096);
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_READ, 9, 4096, 4096));
            RawClient.ExtendedChunk data = client.extendedChunk();
            assertEquals(NbdProtocol.REPLY_TYPE_OFFSET_DATA, data.type());
            assertEquals(4096, data.origin());
            assertEquals(4096, data.payload().getLong());
            assertEquals(4096, data.payload().remaining());
        }
    }

    @Test
    void the_chunks_of_a_large_read_all_tell_where_the_request_began() throws Exception {
        byte[] bytes = new byte[1 << 20];
        Arrays.fill(bytes, (byte) 5);
        memory.write(1 << 20, ByteBuffer.wrap(bytes), WriteFlag.NONE);
        try (RawClient client = RawClient.extended(address, "disk")) {
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_READ, 9, 1 << 20, 3 << 20));
            long next = 1 << 20;
            int holes = 0;
            while (next < 4 << 20) {
                RawClient.ExtendedChunk chunk = client.extendedChunk();
                assertEquals(1 << 20, chunk.origin());
                assertEquals(next, chunk.payload().getLong());
                boolean hole = chunk.type() == NbdProtocol.REPLY_TYPE_OFFSET_HOLE;
                holes += hole ? 1 : 0;
                next += hole ? chunk.payload().getInt() : chunk.payload().remaining();
                assertEquals(next == 4 << 20, chunk.isLast());
            }
            assertTrue(holes > 0, "the zeroes are not sent");
        }
    }

    /// The specification demands the flag of clients, and QEMU 10 leaves it out.
    @Test
    void a_write_without_the_payload_flag_has_its_payload_all_the_same() throws IOException {
        try (RawClient client = RawClient.extended(address, "disk")) {
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_WRITE, 1, 0, 4096));
            client.send(ByteBuffer.allocate(4096));
            assertDone(client.extendedChunk(), 1, 0);
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_WRITE, 3, SIZE, 4096));
            client.send(ByteBuffer.allocate(4096));
            assertError(NbdProtocol.ENOSPC, client.extendedChunk());
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_FLUSH, 2, 0, 0));
            assertDone(client.extendedChunk(), 2, 0);
        }
    }

    @Test
    @Shows("extended.payload-consumed")
    void a_payload_that_a_command_does_not_take_is_thrown_away_and_refused() throws IOException {
        try (RawClient client = RawClient.extended(address, "disk", "base:allocation")) {
            for (int type :
                    List.of(
                            NbdProtocol.CMD_READ,
                            NbdProtocol.CMD_FLUSH,
                            NbdProtocol.CMD_TRIM,
                            NbdProtocol.CMD_CACHE,
                            NbdProtocol.CMD_WRITE_ZEROES,
                            4711)) {
                client.send(RawClient.extendedHeader(PAYLOAD_LEN, type, type, 0, 1 << 20));
                client.send(ByteBuffer.allocate(1 << 20));
                assertError(NbdProtocol.EINVAL, client.extendedChunk());
            }
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_FLUSH, 2, 0, 0));
            assertDone(client.extendedChunk(), 2, 0);
        }
    }

    @Test
    @Shows("extended.payload-too-long")
    void a_payload_beyond_the_limit_ends_the_connection() throws IOException {
        for (long length : List.of((32L << 20) + 1, 1L << 32, Long.MIN_VALUE, -1L)) {
            try (RawClient client = RawClient.extended(address, "disk")) {
                client.send(
                        RawClient.extendedHeader(PAYLOAD_LEN, NbdProtocol.CMD_WRITE, 1, 0, length));
                assertTrue(client.isHungUp(), "length " + length);
            }
        }
    }

    @Test
    @Shows("extended.headers")
    void a_header_of_the_other_style_ends_the_connection() throws IOException {
        try (RawClient client = RawClient.extended(address, "disk")) {
            client.send(RawClient.header(0, NbdProtocol.CMD_FLUSH, 1, 0, 0));
            client.send(ByteBuffer.allocate(4));
            assertTrue(client.isHungUp());
        }
        try (RawClient client = RawClient.structured(address, "disk")) {
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_FLUSH, 1, 0, 0));
            assertTrue(client.isHungUp());
        }
    }

    @Test
    void one_request_zeroes_trims_or_caches_the_whole_of_a_large_export() throws IOException {
        try (RawClient client = RawClient.extended(address, "disk")) {
            for (int type :
                    List.of(
                            NbdProtocol.CMD_WRITE_ZEROES,
                            NbdProtocol.CMD_TRIM,
                            NbdProtocol.CMD_CACHE)) {
                write(client, 1, SIZE - 4096, new byte[4096]);
                assertDone(client.extendedChunk(), 1, SIZE - 4096);
                client.send(RawClient.extendedHeader(0, type, type, 0, SIZE));
                assertDone(client.extendedChunk(), type, 0);
            }
        }
        assertEquals(CLUSTER, memory.allocatedBytes(), "but for what was written last");
    }

    @Test
    @Shows("size.range")
    void a_range_that_does_not_fit_is_refused_however_long_it_is() throws IOException {
        try (RawClient client = RawClient.extended(address, "disk", "base:allocation")) {
            for (long length : List.of(SIZE + 1, Long.MAX_VALUE, Long.MIN_VALUE, -1L)) {
                for (int type :
                        List.of(
                                NbdProtocol.CMD_READ,
                                NbdProtocol.CMD_TRIM,
                                NbdProtocol.CMD_CACHE,
                                NbdProtocol.CMD_BLOCK_STATUS)) {
                    client.send(RawClient.extendedHeader(0, type, 1, 0, length));
                    assertError(NbdProtocol.EINVAL, client.extendedChunk());
                }
                client.send(
                        RawClient.extendedHeader(0, NbdProtocol.CMD_WRITE_ZEROES, 1, 0, length));
                assertError(NbdProtocol.ENOSPC, client.extendedChunk());
            }
        }
    }

    @Test
    @Shows({"chunk.status-ext", "chunk.status-count", "chunk.status-high"})
    void block_status_tells_of_the_whole_export_in_one_request() throws Exception {
        memory.write(SIZE / 2, ByteBuffer.allocate(CLUSTER), WriteFlag.NONE);
        try (RawClient client = RawClient.extended(address, "disk", "base:allocation")) {
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_BLOCK_STATUS, 5, 0, SIZE));
            RawClient.ExtendedChunk chunk = client.extendedChunk();
            assertTrue(chunk.isLast());
            assertEquals(NbdProtocol.REPLY_TYPE_BLOCK_STATUS_EXT, chunk.type());
            assertEquals(1, chunk.payload().getInt());
            assertEquals(3, chunk.payload().getInt());
            assertEquals(3 * 16, chunk.payload().remaining());
            assertEquals(SIZE / 2, chunk.payload().getLong());
            assertEquals(3, chunk.payload().getLong());
            assertEquals(CLUSTER, chunk.payload().getLong());
            assertEquals(0, chunk.payload().getLong());
            assertEquals(SIZE / 2 - CLUSTER, chunk.payload().getLong());
            assertEquals(3, chunk.payload().getLong());
        }
    }

    @Test
    void block_status_tells_of_every_context_that_was_selected() throws IOException {
        dirty.set(1, 3);
        String[] names = {"base:allocation", "qemu:allocation-depth", "qemu:dirty-bitmap:b"};
        try (RawClient client = RawClient.extended(address, "disk", names)) {
            client.send(
                    RawClient.extendedHeader(
                            0, NbdProtocol.CMD_BLOCK_STATUS, 5, CLUSTER / 2, 4 * CLUSTER));
            for (int id = 1; id <= 3; id++) {
                RawClient.ExtendedChunk chunk = client.extendedChunk();
                assertEquals(id, chunk.payload().getInt());
                assertEquals(id == 3, chunk.isLast());
                assertEquals(id == 3 ? 3 : 1, chunk.payload().getInt());
                if (id == 3) {
                    assertEquals(CLUSTER / 2, chunk.payload().getLong());
                    assertEquals(0, chunk.payload().getLong());
                    assertEquals(2 * CLUSTER, chunk.payload().getLong());
                    assertEquals(1, chunk.payload().getLong());
                }
            }
        }
    }

    @Test
    void a_filter_limits_block_status_to_the_contexts_it_names() throws IOException {
        String[] names = {"base:allocation", "qemu:allocation-depth", "qemu:dirty-bitmap:b"};
        try (RawClient client = RawClient.extended(address, "disk", names)) {
            ByteBuffer filter = filter(SIZE, 2);
            client.send(filter.slice(0, 5));
            client.send(filter.slice(5, 30)); // the beginning of the payload
            client.send(filter.slice(35, filter.limit() - 35));
            RawClient.ExtendedChunk chunk = client.extendedChunk();
            assertTrue(chunk.isLast());
            assertEquals(2, chunk.payload().getInt());
            client.send(filter(SIZE, 3, 1));
            assertEquals(3, client.extendedChunk().payload().getInt());
            assertEquals(1, client.extendedChunk().payload().getInt());
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_BLOCK_STATUS, 5, 0, SIZE));
            for (int id = 1; id <= 3; id++) {
                assertEquals(id, client.extendedChunk().payload().getInt());
            }
        }
    }

    @Test
    @Shows("status.payload")
    void a_filter_with_repeated_unknown_or_no_contexts_is_invalid() throws IOException {
        String[] names = {"base:allocation", "qemu:allocation-depth"};
        try (RawClient client = RawClient.extended(address, "disk", names)) {
            for (ByteBuffer wrong :
                    List.of(
                            filter(SIZE, 1, 1),
                            filter(SIZE, 9),
                            filter(SIZE),
                            filter(SIZE, 1, 2, 3),
                            filter(SIZE + 1, 1),
                            filter(-1, 1),
                            filter(0, 1))) {
                client.send(wrong);
                assertError(NbdProtocol.EINVAL, client.extendedChunk());
            }
            for (int bytes : List.of(1, 7, 13, 1 << 20)) {
                client.send(
                        RawClient.extendedHeader(
                                PAYLOAD_LEN, NbdProtocol.CMD_BLOCK_STATUS, 5, 0, bytes));
                client.send(ByteBuffer.allocate(bytes));
                assertError(NbdProtocol.EINVAL, client.extendedChunk());
            }
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_FLUSH, 2, 0, 0));
            assertDone(client.extendedChunk(), 2, 0);
        }
    }

    @Test
    void a_filter_is_invalid_where_no_context_was_selected() throws IOException {
        try (RawClient client = RawClient.extended(address, "disk")) {
            client.send(filter(SIZE, 1));
            assertError(NbdProtocol.EINVAL, client.extendedChunk());
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_FLUSH, 2, 0, 0));
            assertDone(client.extendedChunk(), 2, 0);
        }
    }

    @Test
    @Shows("cmd.req-one")
    void one_extent_is_never_longer_than_the_request() throws IOException {
        int one = NbdProtocol.CMD_FLAG_REQ_ONE;
        try (RawClient client = RawClient.extended(address, "disk", "base:allocation")) {
            client.send(
                    RawClient.extendedHeader(one, NbdProtocol.CMD_BLOCK_STATUS, 5, 10, 1L << 33));
            RawClient.ExtendedChunk chunk = client.extendedChunk();
            assertEquals(1, chunk.payload().getInt(4));
            assertEquals(1L << 33, chunk.payload().getLong(8));
        }
    }

    private static ByteBuffer filter(long length, int... ids) {
        int bytes = 8 + 4 * ids.length;
        ByteBuffer request =
                ByteBuffer.allocate(NbdProtocol.EXTENDED_REQUEST_BYTES + bytes)
                        .put(
                                RawClient.extendedHeader(
                                        PAYLOAD_LEN, NbdProtocol.CMD_BLOCK_STATUS, 5, 0, bytes))
                        .putLong(length);
        for (int id : ids) {
            request.putInt(id);
        }
        return request.flip();
    }

    private static void write(RawClient client, long cookie, long offset, byte[] bytes)
            throws IOException {
        client.send(
                RawClient.extendedHeader(
                        PAYLOAD_LEN, NbdProtocol.CMD_WRITE, cookie, offset, bytes.length));
        client.send(ByteBuffer.wrap(bytes));
    }

    private static void assertDone(RawClient.ExtendedChunk chunk, long cookie, long origin) {
        assertEquals(NbdProtocol.REPLY_TYPE_NONE, chunk.type());
        assertEquals(cookie, chunk.cookie());
        assertEquals(origin, chunk.origin());
        assertTrue(chunk.isLast());
        assertEquals(0, chunk.payload().remaining());
    }

    private static void assertError(int error, RawClient.ExtendedChunk chunk) {
        assertEquals(NbdProtocol.REPLY_TYPE_ERROR, chunk.type());
        assertEquals(error, chunk.error());
        assertTrue(chunk.isLast());
    }

    /// A device that changes at every page, so that a map of it has no end.
    private static final class Striped extends FilterDevice {
        Striped() {
            super(new MemoryDevice(SIZE));
        }

        @Override
        public String description() {
            return "stripes";
        }

        @Override
        public List<Extent> extents(long offset, long length) {
            List<Extent> stripes = new ArrayList<>();
            for (long at = offset; at < offset + length && stripes.size() < 4096; ) {
                long next = Math.min(offset + length, (at / 4096 + 1) * 4096);
                Extent.Kind kind = at / 4096 % 2 == 0 ? Extent.Kind.DATA : Extent.Kind.HOLE;
                stripes.add(Extent.of(at, next - at, kind));
                at = next;
            }
            return stripes;
        }
    }

    @Test
    void questions_about_a_whole_large_disk_do_not_keep_others_from_their_answers()
            throws IOException {
        Address striped;
        try (NbdServer own =
                NbdServer.start(Exports.of(new Export("s", new Gate(new Striped()))))) {
            striped = own.listen(new Address.Unix(folder.resolve("striped.sock")));
            try (RawClient greedy =
                            RawClient.extended(striped, "s", NbdProtocol.META_BASE_ALLOCATION);
                    RawClient other = RawClient.simple(striped, "s")) {
                int questions = 50;
                for (int cookie = 0; cookie < questions; cookie++) {
                    greedy.send(
                            RawClient.extendedHeader(
                                    0, NbdProtocol.CMD_BLOCK_STATUS, cookie, 0, SIZE));
                }
                for (int round = 0; round < 10; round++) {
                    other.request(NbdProtocol.CMD_READ, round, 0, 4096);
                    assertEquals(new RawClient.Simple(0, round), other.simpleReply());
                    other.receive(4096);
                }
                int extentBytes = 16;
                for (int answered = 0; answered < questions; answered++) {
                    RawClient.ExtendedChunk chunk = greedy.extendedChunk();
                    assertTrue(chunk.isLast());
                    int extents = chunk.payload().remaining() / extentBytes;
                    assertTrue(extents > 1000 && extents <= 32 << 10, () -> extents + " extents");
                }
            }
        }
    }
}
