package dev.lockstep.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.filter.fault.CrashDevice;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Degradation;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.conformance.Shows;
import dev.lockstep.nbd.server.RawClient.Chunk;
import dev.lockstep.nbd.server.RawClient.Simple;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

/// The protocol's demands on a server in transmission that no other test shows.
class ServerRulesTest {
    private static final long SIZE = 1 << 20;

    private final MemoryDevice memory = new MemoryDevice("disk", SIZE);
    private final CrashDevice volatileDisk = new CrashDevice(new Gate(memory));
    private final FaultDevice broken = new FaultDevice(new Gate(memory));
    private final NbdServer server =
            NbdServer.start(
                    Exports.of(
                            new Export("disk", "words", new Gate(memory)),
                            new Export("volatile", new Gate(volatileDisk)),
                            new Export("frozen", Gate.readOnly(memory)),
                            new Export("broken", new Gate(broken))));
    private Address address = new Address.Tcp("127.0.0.1", 0);

    @BeforeEach
    void listen() throws IOException {
        address = server.listen(address);
    }

    @AfterEach
    void close() {
        server.close();
    }

    @Test
    @Shows("cookie.echo")
    void cookies_come_back_whatever_their_bits() throws IOException {
        Random random = new Random(2);
        try (RawClient client = RawClient.structured(address, "disk")) {
            for (long cookie : new long[] {0, -1, Long.MIN_VALUE, random.nextLong()}) {
                client.request(NbdProtocol.CMD_READ, cookie, 0, 512);
                assertEquals(cookie, client.chunk().cookie());
                client.request(NbdProtocol.CMD_FLUSH, cookie, 0, 0);
                assertEquals(cookie, client.simpleReply().cookie());
            }
        }
    }

    @Test
    @Shows("flush.covers")
    void what_was_answered_before_a_flush_survives_a_crash() throws Exception {
        try (RawClient client = RawClient.simple(address, "volatile")) {
            client.write(1, 0, new byte[] {1}).simpleReply();
            client.write(2, 4096, new byte[] {2}).simpleReply();
            client.request(NbdProtocol.CMD_WRITE_ZEROES, 3, 0, 1).simpleReply();
            client.request(NbdProtocol.CMD_FLUSH, 4, 0, 0).simpleReply();
            volatileDisk.crash(new Random(3));
        }
        assertEquals(0, memoryByte(0));
        assertEquals(2, memoryByte(4096));
    }

    @Test
    @Shows("fua.durable")
    void what_was_answered_with_fua_survives_a_crash() throws Exception {
        int fua = NbdProtocol.CMD_FLAG_FUA;
        try (RawClient client = RawClient.simple(address, "volatile")) {
            client.write(1, 512, new byte[] {9}).simpleReply();
            client.send(RawClient.header(fua, NbdProtocol.CMD_WRITE, 2, 0, 1));
            client.send(ByteBuffer.wrap(new byte[] {5})).simpleReply();
            client.send(RawClient.header(fua, NbdProtocol.CMD_WRITE_ZEROES, 3, 512, 1));
            client.simpleReply();
            volatileDisk.crash(new Random(4));
        }
        assertEquals(5, memoryByte(0));
        assertEquals(0, memoryByte(512));
    }

    @Test
    @Shows({"structured.read", "structured.errors", "simple.default", "structured.unasked"})
    void reads_come_in_chunks_if_and_only_if_that_was_agreed_errors_too() throws IOException {
        try (RawClient plain = RawClient.simple(address, "disk");
                RawClient structured = RawClient.structured(address, "disk")) {
            plain.request(NbdProtocol.CMD_READ, 1, 0, 8);
            assertEquals(new Simple(0, 1), plain.simpleReply());
            plain.receive(8);
            plain.request(NbdProtocol.CMD_READ, 2, SIZE, 8);
            assertEquals(new Simple(NbdProtocol.EINVAL, 2), plain.simpleReply());
            structured.request(NbdProtocol.CMD_READ, 3, 0, 8);
            assertEquals(NbdProtocol.REPLY_TYPE_OFFSET_DATA, structured.chunk().type());
            structured.send(RawClient.header(1 << 9, NbdProtocol.CMD_READ, 4, 0, 8));
            assertEquals(NbdProtocol.REPLY_TYPE_ERROR, structured.chunk().type());
        }
    }

    @Test
    @Shows({"write.error", "read.simple-error"})
    void a_device_that_fails_is_an_error_without_data_and_the_session_goes_on() throws IOException {
        broken.add(Fault.error(Kind.IO).times(2));
        try (RawClient client = RawClient.simple(address, "broken")) {
            client.write(1, 0, new byte[8]);
            assertEquals(new Simple(NbdProtocol.EIO, 1), client.simpleReply());
            client.request(NbdProtocol.CMD_READ, 2, 0, 8);
            assertEquals(new Simple(NbdProtocol.EIO, 2), client.simpleReply());
            assertWorks(client);
        }
    }

    @Test
    @Shows({"read.cover", "chunk.bounds", "structured.done-last"})
    void content_covers_each_byte_of_a_read_once_and_the_last_chunk_says_so() throws Exception {
        long seed = Long.getLong("LOCKSTEP_SEED", System.nanoTime());
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        for (int i = 0; i < 20; i++) {
            ByteBuffer some = ByteBuffer.allocate(random.nextInt(30_000) + 1);
            random.nextBytes(some.array());
            memory.write(random.nextLong(SIZE - 30_000), some, WriteFlag.NONE);
        }
        try (RawClient client = RawClient.structured(address, "disk")) {
            for (int round = 0; round < 100; round++) {
                int length = 1 + random.nextInt((int) SIZE);
                long offset = random.nextLong(SIZE - length + 1);
                client.request(NbdProtocol.CMD_READ, round, offset, length);
                byte[] got = assemble(client, offset, length);
                ByteBuffer expected = ByteBuffer.allocate(length);
                memory.read(offset, expected);
                assertEquals(expected.flip(), ByteBuffer.wrap(got));
            }
        }
    }

    private static byte[] assemble(RawClient client, long offset, int length) throws IOException {
        byte[] got = new byte[length];
        boolean[] covered = new boolean[length];
        int left = length;
        Chunk chunk;
        do {
            chunk = client.chunk();
            ByteBuffer payload = chunk.payload();
            int at = Math.toIntExact(payload.getLong() - offset);
            boolean hole = chunk.type() == NbdProtocol.REPLY_TYPE_OFFSET_HOLE;
            int bytes = hole ? payload.getInt() : payload.remaining();
            assertTrue(bytes > 0);
            for (int i = 0; i < bytes; i++) {
                assertTrue(!covered[at + i], "a byte that comes twice");
                covered[at + i] = true;
                got[at + i] = hole ? 0 : payload.get();
            }
            left -= bytes;
        } while (!chunk.isLast());
        assertEquals(0, left);
        return got;
    }

    @Test
    @Shows("read.df-64k")
    void reads_of_64_kib_and_less_come_in_one_chunk_with_df() throws Exception {
        memory.write(30_000, ByteBuffer.wrap(new byte[] {1}), WriteFlag.NONE);
        try (RawClient client = RawClient.structured(address, "disk")) {
            for (int length : List.of(1, 511, 4096, 65536)) {
                client.send(
                        RawClient.header(
                                NbdProtocol.CMD_FLAG_DF, NbdProtocol.CMD_READ, 1, 1, length));
                Chunk chunk = client.chunk();
                assertEquals(NbdProtocol.REPLY_TYPE_OFFSET_DATA, chunk.type());
                assertTrue(chunk.isLast());
                assertEquals(8 + length, chunk.payload().remaining());
            }
        }
    }

    @Test
    @Shows({"trim.zero", "zeroes.zero", "status.zero", "read.zero", "write.zero"})
    void requests_about_nothing_end_no_session() throws IOException {
        try (RawClient client = RawClient.structured(address, "disk")) {
            for (int type :
                    List.of(
                            NbdProtocol.CMD_TRIM,
                            NbdProtocol.CMD_WRITE_ZEROES,
                            NbdProtocol.CMD_WRITE,
                            NbdProtocol.CMD_CACHE)) {
                client.request(type, type, 512, 0);
                assertEquals(new Simple(0, type), client.simpleReply());
            }
            client.request(NbdProtocol.CMD_BLOCK_STATUS, 7, 512, 0);
            assertEquals(NbdProtocol.REPLY_TYPE_ERROR, client.chunk().type());
            client.request(NbdProtocol.CMD_READ, 8, 512, 0);
            assertEquals(NbdProtocol.REPLY_TYPE_NONE, client.chunk().type());
        }
    }

    @Test
    @Shows({"size.no-payload", "cmd.no-hole", "zeroes.slow"})
    void requests_without_payload_may_be_as_long_as_the_export() throws Exception {
        memory.write(0, ByteBuffer.wrap(new byte[] {1}), WriteFlag.NONE);
        try (NbdServer large =
                        NbdServer.start(
                                Exports.of(
                                        new Export(
                                                "large", new Gate(new MemoryDevice(1L << 40)))));
                RawClient client =
                        RawClient.simple(large.listen(new Address.Tcp("127.0.0.1", 0)), "large")) {
            long length = 0xffff_ffffL;
            client.request(NbdProtocol.CMD_TRIM, 1, 0, length);
            assertEquals(new Simple(0, 1), client.simpleReply());
            client.send(
                    RawClient.header(
                            NbdProtocol.CMD_FLAG_FAST_ZERO,
                            NbdProtocol.CMD_WRITE_ZEROES,
                            2,
                            0,
                            length));
            assertEquals(new Simple(0, 2), client.simpleReply());
            client.request(NbdProtocol.CMD_READ, 3, 0, length);
            assertEquals(new Simple(NbdProtocol.EINVAL, 3), client.simpleReply());
        }
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.send(
                    RawClient.header(
                            NbdProtocol.CMD_FLAG_NO_HOLE,
                            NbdProtocol.CMD_WRITE_ZEROES,
                            4,
                            0,
                            SIZE));
            assertEquals(new Simple(0, 4), client.simpleReply());
            assertEquals(0, memoryByte(0));
        }
    }

    @Test
    @Shows({"cmd.fast-zero", "error.enotsup", "zeroes.slow"})
    void a_fast_zero_that_would_be_a_write_is_refused_and_a_plain_one_is_not() throws Exception {
        memory.write(0, ByteBuffer.wrap(new byte[] {1}), WriteFlag.NONE);
        BlockDevice slow =
                new FilterDevice(memory) {
                    @Override
                    public void zero(long offset, long length, Set<WriteFlag> flags)
                            throws BlockException {
                        if (flags.contains(WriteFlag.FAST)) {
                            throw new BlockException(Kind.UNSUPPORTED, "it would be slow");
                        }
                        super.zero(offset, length, flags);
                    }
                };
        try (NbdServer other = NbdServer.start(Exports.of(new Export("slow", new Gate(slow))));
                RawClient client =
                        RawClient.simple(other.listen(new Address.Tcp("127.0.0.1", 0)), "slow")) {
            client.send(
                    RawClient.header(
                            NbdProtocol.CMD_FLAG_FAST_ZERO,
                            NbdProtocol.CMD_WRITE_ZEROES,
                            1,
                            0,
                            4096));
            assertEquals(new Simple(NbdProtocol.ENOTSUP, 1), client.simpleReply());
            assertEquals(1, memoryByte(0));
            client.request(NbdProtocol.CMD_WRITE_ZEROES, 2, 0, 4096);
            assertEquals(new Simple(0, 2), client.simpleReply());
            assertEquals(0, memoryByte(0));
        }
    }

    @Test
    @Shows({"zeroes.unoffered", "flags.honest", "error.flag", "error.command", "cache.flags"})
    void what_was_not_offered_is_invalid() throws IOException {
        Set<Degradation> all = new HashSet<>(List.of(Degradation.values()));
        all.removeAll(
                List.of(
                        Degradation.NO_FIXED_NEWSTYLE,
                        Degradation.NO_NO_ZEROES,
                        Degradation.NO_GO));
        try (NbdServer bare =
                        NbdServer.start(
                                Exports.of(new Export("disk", new Gate(memory))),
                                ServerOptions.DEFAULT.without(all));
                RawClient client =
                        RawClient.simple(bare.listen(new Address.Tcp("127.0.0.1", 0)), "disk")) {
            for (int type :
                    List.of(
                            NbdProtocol.CMD_FLUSH,
                            NbdProtocol.CMD_TRIM,
                            NbdProtocol.CMD_CACHE,
                            NbdProtocol.CMD_WRITE_ZEROES,
                            NbdProtocol.CMD_BLOCK_STATUS)) {
                client.request(type, type, 0, 512);
                assertEquals(new Simple(NbdProtocol.EINVAL, type), client.simpleReply());
            }
            client.send(RawClient.header(NbdProtocol.CMD_FLAG_FUA, NbdProtocol.CMD_READ, 9, 0, 8));
            assertEquals(new Simple(NbdProtocol.EINVAL, 9), client.simpleReply());
            assertWorks(client);
        }
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.send(
                    RawClient.header(NbdProtocol.CMD_FLAG_DF, NbdProtocol.CMD_CACHE, 1, 0, 512));
            assertEquals(new Simple(NbdProtocol.EINVAL, 1), client.simpleReply());
        }
    }

    @Test
    @Shows({"chunk.status-sum", "chunk.status-many", "status.consecutive", "status.merged"})
    void extents_follow_each_other_differ_and_none_begins_beyond_the_request() throws Exception {
        try (NbdServer large =
                        NbdServer.start(
                                Exports.of(new Export("large", new Gate(checkered(1 << 28)))));
                RawClient client =
                        RawClient.structured(
                                large.listen(new Address.Tcp("127.0.0.1", 0)), "large")) {
            client.request(NbdProtocol.CMD_BLOCK_STATUS, 1, 0, 1 << 28);
            ByteBuffer payload = client.chunk().payload();
            payload.getInt();
            assertTrue(payload.remaining() / 8 > 1000, "enough extents to tell");
            assertTrue(payload.remaining() / 8 <= 1 << 20);
            long sum = 0;
            int before = -1;
            while (payload.hasRemaining()) {
                assertTrue(sum < 1 << 28);
                int length = payload.getInt();
                assertTrue(length > 0);
                int flags = payload.getInt();
                assertNotEquals(before, flags);
                before = flags;
                sum += length;
            }
        }
    }

    @Test
    @Shows({"status.beyond", "status.unselected"})
    void a_question_beyond_the_end_or_without_a_context_is_invalid() throws IOException {
        try (RawClient client = RawClient.structured(address, "disk")) {
            client.request(NbdProtocol.CMD_BLOCK_STATUS, 1, SIZE - 512, 1024);
            Chunk chunk = client.chunk();
            assertEquals(NbdProtocol.REPLY_TYPE_ERROR, chunk.type());
            assertEquals(NbdProtocol.EINVAL, chunk.payload().getInt());
        }
        try (RawClient client = RawClient.connect(address).flags(3)) {
            client.ask(new Option.StructuredReply());
            client.ask(new Option.Go("disk", List.of()));
            client.request(NbdProtocol.CMD_BLOCK_STATUS, 1, 0, 512);
            assertEquals(NbdProtocol.EINVAL, client.chunk().payload().getInt());
        }
    }

    /// A device on which every second piece is a hole.
    private static MemoryDevice checkered(int size) throws Exception {
        MemoryDevice device = new MemoryDevice(size);
        for (long at = 0; at < size; at += 2 * (64 << 10)) {
            device.write(at, ByteBuffer.wrap(new byte[] {1}), WriteFlag.NONE);
        }
        return device;
    }

    private static void assertWorks(RawClient client) throws IOException {
        client.request(NbdProtocol.CMD_READ, 77, 4096, 4096);
        assertEquals(new Simple(0, 77), client.simpleReply());
        client.receive(4096);
    }

    private int memoryByte(long offset) {
        ByteBuffer one = ByteBuffer.allocate(1);
        memory.read(offset, one);
        return one.get(0);
    }
}
