package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Pending;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.client.FakeServer.Received;
import dev.lockstep.nbd.client.FakeServer.Wire;
import dev.lockstep.nbd.conformance.Shows;

import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;

/// One test for each thing a server must not do, and for the unusual things that it may.
@Timeout(30)
class HostileServerTest {
    private static final int BYTES = 4096;
    private static final long OFFSET = 8192;
    private static final int DONE = NbdProtocol.REPLY_FLAG_DONE;

    /// Answers one request.
    private interface Answer {
        void to(Wire wire, Received request) throws IOException;
    }

    /// Makes one request.
    private interface Ask {
        void of(RemoteDevice device) throws BlockException;
    }

    private static void readIsCutOff(String breach, Answer answer) throws Exception {
        isCutOff(
                breach,
                true,
                device -> device.read(OFFSET, ByteBuffer.allocateDirect(BYTES)),
                answer);
    }

    private static void isCutOff(String breach, boolean structured, Ask ask, Answer answer)
            throws Exception {
        AtomicReference<BlockException> heard = new AtomicReference<>();
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                structured, wire -> answer.to(wire, wire.request()));
                RemoteDevice device = RemoteDevice.open(server.options(), heard::set)) {
            BlockException failure = assertThrows(BlockException.class, () -> ask.of(device));
            assertEquals(Kind.GONE, failure.kind());
            assertSays(breach, failure);
            Awaitility.await().until(() -> heard.get() != null);
            assertSays(breach, heard.get());
            assertEquals(Kind.GONE, assertThrows(BlockException.class, device::flush).kind());
        }
    }

    private static void assertSays(String words, BlockException failure) {
        String message = String.valueOf(failure.getMessage());
        assertTrue(message.contains(words), message);
    }

    @Test
    void a_reply_with_a_wrong_magic() throws Exception {
        readIsCutOff(
                "begins with 0x47455420", (wire, _) -> wire.out.writeBytes("GET / HTTP/1.1\n\n"));
    }

    @Test
    void a_reply_to_a_cookie_that_was_never_sent() throws Exception {
        readIsCutOff("not in flight", (wire, request) -> wire.simple(request.cookie() + 1, 5));
        readIsCutOff(
                "not in flight", (wire, request) -> wire.simple(request.cookie() ^ 1L << 63, 5));
        readIsCutOff("not in flight", (wire, _) -> wire.simple(-1, 5));
    }

    @Test
    void a_reply_that_comes_twice() throws Exception {
        isCutOff(
                "not in flight",
                false,
                device -> {
                    device.flush();
                    Awaitility.await().until(() -> device.failure() != null);
                    device.flush();
                },
                (wire, request) -> {
                    wire.simple(request.cookie(), 0);
                    wire.simple(request.cookie(), 0);
                });
    }

    @Test
    @Shows("chunk.outside")
    void a_chunk_beyond_the_end_of_the_read() throws Exception {
        readIsCutOff(
                "a chunk of 4097 bytes at +0",
                (wire, request) -> wire.data(true, request.cookie(), OFFSET, new byte[BYTES + 1]));
    }

    @Test
    @Shows("chunk.outside")
    void a_chunk_before_the_start_of_the_read() throws Exception {
        readIsCutOff(
                "a chunk of 512 bytes at -512",
                (wire, request) -> wire.data(true, request.cookie(), OFFSET - 512, new byte[512]));
    }

    @Test
    void a_chunk_of_four_gigabytes_is_refused_before_it_is_received() throws Exception {
        readIsCutOff(
                "a chunk of 4294967286 bytes",
                (wire, request) -> {
                    wire.chunkHeader(
                            DONE, NbdProtocol.REPLY_TYPE_OFFSET_DATA, request.cookie(), -2);
                    wire.out.writeLong(OFFSET);
                    wire.out.flush();
                });
    }

    @Test
    void a_byte_that_is_sent_twice() throws Exception {
        readIsCutOff(
                "sent twice",
                (wire, request) -> {
                    wire.data(false, request.cookie(), OFFSET + 1024, new byte[1024]);
                    wire.data(false, request.cookie(), OFFSET, new byte[1025]);
                });
        readIsCutOff(
                "sent twice",
                (wire, request) -> {
                    wire.data(false, request.cookie(), OFFSET, new byte[BYTES]);
                    wire.hole(true, request.cookie(), OFFSET + 17, 1);
                });
    }

    @Test
    void a_read_that_is_answered_in_part() throws Exception {
        readIsCutOff(
                "answered in part",
                (wire, request) -> {
                    wire.data(false, request.cookie(), OFFSET, new byte[2048]);
                    wire.data(true, request.cookie(), OFFSET + 2049, new byte[2047]);
                });
        readIsCutOff(
                "answered in part",
                (wire, request) ->
                        wire.chunk(
                                DONE, NbdProtocol.REPLY_TYPE_NONE, request.cookie(), new byte[0]));
    }

    @Test
    void a_read_that_is_scattered_over_more_chunks_than_anyone_needs() throws Exception {
        readIsCutOff(
                "scattered",
                (wire, request) -> {
                    for (int at = 0; at < BYTES; at += 2) {
                        wire.data(false, request.cookie(), OFFSET + at, new byte[1]);
                    }
                });
    }

    @Test
    @Shows("chunk.inconsistent")
    void an_empty_data_chunk_and_an_empty_hole() throws Exception {
        readIsCutOff(
                "a data chunk of 8 bytes",
                (wire, request) -> wire.data(false, request.cookie(), OFFSET, new byte[0]));
        readIsCutOff(
                "a chunk of 0 bytes",
                (wire, request) -> wire.hole(false, request.cookie(), OFFSET, 0));
    }

    @Test
    @Shows("chunk.inconsistent")
    void a_hole_chunk_of_the_wrong_length() throws Exception {
        readIsCutOff(
                "a hole chunk of 13 bytes",
                (wire, request) ->
                        wire.chunk(
                                DONE,
                                NbdProtocol.REPLY_TYPE_OFFSET_HOLE,
                                request.cookie(),
                                new byte[13]));
    }

    @Test
    void a_simple_reply_to_a_read_where_structured_ones_were_agreed() throws Exception {
        readIsCutOff(
                "answered by a simple reply", (wire, request) -> wire.simple(request.cookie(), 0));
    }

    @Test
    void a_structured_reply_where_none_was_agreed() throws Exception {
        isCutOff(
                "not agreed on",
                false,
                RemoteDevice::flush,
                (wire, request) ->
                        wire.chunk(
                                DONE, NbdProtocol.REPLY_TYPE_NONE, request.cookie(), new byte[0]));
    }

    @Test
    void data_in_the_reply_to_a_flush() throws Exception {
        isCutOff(
                "data in the reply to a flush",
                true,
                RemoteDevice::flush,
                (wire, request) -> wire.data(true, request.cookie(), 0, new byte[512]));
    }

    @Test
    @Shows("chunk.unknown")
    void a_chunk_of_an_unknown_type() throws Exception {
        readIsCutOff(
                "a chunk of unknown type 99",
                (wire, request) -> wire.chunk(DONE, 99, request.cookie(), new byte[4]));
    }

    @Test
    void a_chunk_of_type_none_that_is_not_empty_or_not_the_last() throws Exception {
        readIsCutOff(
                "type NONE",
                (wire, request) ->
                        wire.chunk(
                                DONE, NbdProtocol.REPLY_TYPE_NONE, request.cookie(), new byte[1]));
        readIsCutOff(
                "type NONE",
                (wire, request) ->
                        wire.chunk(0, NbdProtocol.REPLY_TYPE_NONE, request.cookie(), new byte[0]));
    }

    @Test
    @Shows("chunk.inconsistent")
    void an_error_chunk_that_is_malformed_or_endless() throws Exception {
        readIsCutOff(
                "a malformed error chunk",
                (wire, request) ->
                        wire.chunk(
                                DONE,
                                NbdProtocol.REPLY_TYPE_ERROR,
                                request.cookie(),
                                new byte[] {0, 0, 0, 5, 0, 9, 'x'}));
        readIsCutOff(
                "a malformed error chunk",
                (wire, request) ->
                        wire.chunk(
                                DONE, NbdProtocol.REPLY_TYPE_ERROR, request.cookie(), new byte[6]));
        readIsCutOff(
                "an error chunk of 2147483647 bytes",
                (wire, request) ->
                        wire.chunkHeader(
                                DONE,
                                NbdProtocol.REPLY_TYPE_ERROR,
                                request.cookie(),
                                Integer.MAX_VALUE));
    }

    @Test
    void extents_that_are_empty_missing_or_of_another_context() throws Exception {
        Ask extents = device -> device.extents(OFFSET, BYTES);
        isCutOff(
                "an extent without length",
                true,
                extents,
                (wire, request) -> wire.status(request.cookie(), FakeServer.CONTEXT, 0, 0));
        isCutOff(
                "answered without extents",
                true,
                extents,
                (wire, request) ->
                        wire.chunk(
                                DONE, NbdProtocol.REPLY_TYPE_NONE, request.cookie(), new byte[0]));
        isCutOff(
                "a context that was not asked for",
                true,
                extents,
                (wire, request) -> wire.status(request.cookie(), 99, BYTES, 0));
        isCutOff(
                "a chunk of extents of 8 bytes",
                true,
                extents,
                (wire, request) -> wire.status(request.cookie(), FakeServer.CONTEXT, BYTES));
    }

    @Test
    void hanging_up_in_the_middle_of_a_payload() throws Exception {
        readIsCutOff(
                "the server closed the connection",
                (wire, request) -> {
                    wire.chunkHeader(
                            DONE, NbdProtocol.REPLY_TYPE_OFFSET_DATA, request.cookie(), 8 + BYTES);
                    wire.out.writeLong(OFFSET);
                    wire.out.write(new byte[100]);
                    wire.hangUp();
                });
    }

    @Test
    void errors_or_bytes_that_never_come_to_an_end_are_given_up_at_the_deadline() throws Exception {
        List<Answer> endless =
                List.of(
                        (wire, request) -> {
                            byte[] error = ByteBuffer.allocate(6).putInt(5).array();
                            while (true) {
                                wire.chunk(
                                        0, NbdProtocol.REPLY_TYPE_ERROR, request.cookie(), error);
                            }
                        },
                        (wire, request) -> {
                            wire.data(false, request.cookie(), OFFSET, new byte[BYTES - 1]);
                            wire.chunkHeader(
                                    DONE, NbdProtocol.REPLY_TYPE_OFFSET_DATA, request.cookie(), 9);
                            wire.out.flush();
                        });
        for (Answer answer : endless) {
            try (FakeServer server =
                            FakeServer.afterHandshake(
                                    true, wire -> answer.to(wire, wire.request()));
                    RemoteDevice device = RemoteDevice.open(impatient(server))) {
                BlockException failure =
                        assertThrows(
                                BlockException.class,
                                () -> device.read(OFFSET, ByteBuffer.allocateDirect(BYTES)));
                assertEquals(Kind.TIMEOUT, failure.kind());
            }
        }
    }

    private static RemoteOptions impatient(FakeServer server) {
        return server.options().withDeadlines(Duration.ofSeconds(10), Duration.ofMillis(300));
    }

    @Test
    void replies_may_come_in_any_order() throws Exception {
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire -> {
                                    Received first = wire.request();
                                    Received second = wire.request();
                                    byte[] twos = new byte[BYTES];
                                    Arrays.fill(twos, (byte) 2);
                                    wire.data(true, second.cookie(), second.offset(), twos);
                                    wire.hole(true, first.cookie(), first.offset(), BYTES);
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            ByteBuffer zeroes = ByteBuffer.allocateDirect(BYTES).put(0, (byte) 9);
            ByteBuffer twos = ByteBuffer.allocateDirect(BYTES);
            Pending first = device.startRead(0, zeroes);
            device.read(OFFSET, twos);
            first.await();
            assertEquals(0, zeroes.get(0));
            assertEquals(2, twos.get(0));
        }
    }

    @Test
    @Shows("structured.reassemble")
    void chunks_in_any_order_and_holes_are_a_good_answer() throws Exception {
        byte[] bytes = new byte[BYTES];
        new Random(1).nextBytes(bytes);
        Arrays.fill(bytes, 1024, 2048, (byte) 0);
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire -> {
                                    long cookie = wire.request().cookie();
                                    wire.data(
                                            false,
                                            cookie,
                                            OFFSET + 2048,
                                            slice(bytes, 2048, BYTES));
                                    wire.data(false, cookie, OFFSET, slice(bytes, 0, 1000));
                                    wire.hole(false, cookie, OFFSET + 1024, 1024);
                                    wire.data(
                                            false, cookie, OFFSET + 1000, slice(bytes, 1000, 1024));
                                    wire.chunk(
                                            DONE, NbdProtocol.REPLY_TYPE_NONE, cookie, new byte[0]);
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            ByteBuffer target = ByteBuffer.wrap(new byte[BYTES]);
            device.read(OFFSET, target);
            assertArrayEquals(bytes, target.array());
        }
    }

    @Test
    void an_error_chunk_after_data_fails_the_read_with_the_servers_words_made_harmless()
            throws Exception {
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire -> {
                                    long cookie = wire.request().cookie();
                                    wire.data(false, cookie, OFFSET, new byte[512]);
                                    byte[] words = {0, 0, 0, 5, 0, 5, 'b', 27, 'a', '\n', 'd'};
                                    wire.chunk(DONE, NbdProtocol.REPLY_TYPE_ERROR, cookie, words);
                                    wire.chunk(
                                            DONE,
                                            NbdProtocol.REPLY_TYPE_NONE,
                                            wire.request().cookie(),
                                            new byte[0]);
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            BlockException failure =
                    assertThrows(
                            BlockException.class,
                            () -> device.read(OFFSET, ByteBuffer.allocate(BYTES)));
            assertEquals(Kind.IO, failure.kind());
            assertSays("EIO (b a d)", failure);
            device.flush();
        }
    }

    @Test
    @Shows("status.same-flags")
    void extents_beyond_the_range_are_clipped_and_equal_neighbours_joined() throws Exception {
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire ->
                                        wire.status(
                                                wire.request().cookie(),
                                                FakeServer.CONTEXT,
                                                512,
                                                3,
                                                512,
                                                3,
                                                1 << 30,
                                                1));
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(
                    List.of(
                            Extent.of(OFFSET, 1024, Extent.Kind.HOLE),
                            Extent.of(OFFSET + 1024, BYTES - 1024, Extent.Kind.DATA)),
                    device.extents(OFFSET, BYTES));
        }
    }

    private static byte[] slice(byte[] bytes, int from, int to) {
        return Arrays.copyOfRange(bytes, from, to);
    }

    @Test
    void a_lenient_connection_sends_what_a_strict_one_refuses() throws Exception {
        AtomicReference<Received> received = new AtomicReference<>();
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire -> {
                                    wire.in.readNBytes(3);
                                    received.set(wire.request());
                                    wire.simple(received.get().cookie(), NbdProtocol.EINVAL);
                                });
                NbdConnection connection =
                        NbdConnection.connectLenient(server.options(), _ -> {})) {
            connection.sendRaw(ByteBuffer.wrap(new byte[] {1, 2, 3})).await();
            Pending wrong = connection.start(77, 0x8001, -5, 0xffff_ffffL, null);
            assertEquals(Kind.INVALID, assertThrows(BlockException.class, wrong::await).kind());
            assertEquals(77, received.get().command());
            assertEquals(0x8001, received.get().flags());
            assertEquals(-5, received.get().offset());
            assertEquals(-1L, received.get().length());
        }
    }
}
