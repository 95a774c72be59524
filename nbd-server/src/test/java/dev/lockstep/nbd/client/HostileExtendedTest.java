package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.client.FakeServer.Received;
import dev.lockstep.nbd.client.FakeServer.Wire;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;

/// What a server must not do, and may, once extended headers are agreed on.
@Timeout(30)
class HostileExtendedTest {
    private static final int BYTES = 4096;
    private static final long OFFSET = 8192;
    private static final int DONE = NbdProtocol.REPLY_FLAG_DONE;
    private static final long TIB = 1L << 40;
    private static final int FLAGS =
            NbdProtocol.FLAG_HAS_FLAGS
                    | NbdProtocol.FLAG_SEND_FLUSH
                    | NbdProtocol.FLAG_SEND_TRIM
                    | NbdProtocol.FLAG_SEND_WRITE_ZEROES;

    /// Answers one request.
    private interface Answer {
        void to(Wire wire, Received request) throws IOException;
    }

    /// Makes one request.
    private interface Ask {
        void of(RemoteDevice device) throws BlockException;
    }

    private static RemoteOptions options(FakeServer server) {
        return server.options().withHeaders(HeaderStyle.EXTENDED);
    }

    private static void isCutOff(String breach, Ask ask, Answer answer) throws Exception {
        try (FakeServer server =
                        FakeServer.afterHandshake(true, wire -> answer.to(wire, wire.request()));
                RemoteDevice device = RemoteDevice.open(options(server))) {
            BlockException failure = assertThrows(BlockException.class, () -> ask.of(device));
            assertEquals(Kind.GONE, failure.kind());
            assertTrue(failure.getMessage().contains(breach), failure::getMessage);
        }
    }

    private static void readIsCutOff(String breach, Answer answer) throws Exception {
        isCutOff(breach, device -> device.read(OFFSET, ByteBuffer.allocateDirect(BYTES)), answer);
    }

    private static void statusIsCutOff(String breach, Answer answer) throws Exception {
        isCutOff(breach, device -> device.extents(OFFSET, BYTES), answer);
    }

    @Test
    void a_simple_or_a_structured_reply() throws Exception {
        isCutOff(
                "a simple reply, which was not agreed on",
                RemoteDevice::flush,
                (wire, request) -> {
                    wire.simple(request.cookie(), 0);
                    wire.out.write(new byte[16]);
                    wire.out.flush();
                });
        readIsCutOff(
                "a structured reply, which was not agreed on",
                (wire, request) -> {
                    wire.out.writeInt(NbdProtocol.STRUCTURED_REPLY_MAGIC);
                    wire.out.write(new byte[28]);
                    wire.out.flush();
                });
    }

    @Test
    @Shows("extended.offset-check")
    void a_reply_that_names_another_offset() throws Exception {
        readIsCutOff(
                "names another offset",
                (wire, request) -> {
                    wire.offsets.put(request.cookie(), OFFSET + 1);
                    wire.data(true, request.cookie(), OFFSET, new byte[BYTES]);
                });
    }

    @Test
    void a_payload_of_a_tebibyte_is_refused_before_it_is_received() throws Exception {
        for (int type :
                new int[] {
                    NbdProtocol.REPLY_TYPE_NONE,
                    NbdProtocol.REPLY_TYPE_OFFSET_DATA,
                    NbdProtocol.REPLY_TYPE_OFFSET_HOLE,
                    NbdProtocol.REPLY_TYPE_ERROR
                }) {
            for (long length : new long[] {TIB, -1, Long.MIN_VALUE}) {
                readIsCutOff(
                        "broke the NBD protocol",
                        (wire, request) -> header(wire, type, request, length));
            }
        }
    }

    private static void header(Wire wire, int type, Received request, long length)
            throws IOException {
        wire.out.writeInt(NbdProtocol.EXTENDED_REPLY_MAGIC);
        wire.out.writeShort(DONE);
        wire.out.writeShort(type);
        wire.out.writeLong(request.cookie());
        wire.out.writeLong(request.offset());
        wire.out.writeLong(length);
        wire.out.writeLong(OFFSET);
        wire.out.flush();
    }

    @Test
    void extents_of_32_bits() throws Exception {
        statusIsCutOff(
                "a narrow status reply, which was not agreed on",
                (wire, request) -> wire.status(request.cookie(), FakeServer.CONTEXT, BYTES, 0));
    }

    @Test
    void extents_of_64_bits_where_headers_are_structured() throws Exception {
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire ->
                                        wire.wideStatus(
                                                true,
                                                wire.request().cookie(),
                                                FakeServer.CONTEXT,
                                                1,
                                                BYTES,
                                                0));
                RemoteDevice device = RemoteDevice.open(server.options())) {
            BlockException failure =
                    assertThrows(BlockException.class, () -> device.extents(OFFSET, BYTES));
            assertTrue(failure.getMessage().contains("a wide status"), failure::getMessage);
        }
    }

    @Test
    void extents_that_are_counted_wrongly() throws Exception {
        for (int count : new int[] {0, 2, -1}) {
            statusIsCutOff(
                    "counts them wrongly",
                    (wire, request) ->
                            wire.wideStatus(
                                    true, request.cookie(), FakeServer.CONTEXT, count, BYTES, 0));
        }
    }

    @Test
    void extents_that_are_empty_or_longer_than_anything() throws Exception {
        for (long length : new long[] {0, -1}) {
            statusIsCutOff(
                    "an extent without length",
                    (wire, request) ->
                            wire.wideStatus(
                                    true, request.cookie(), FakeServer.CONTEXT, 1, length, 0));
        }
    }

    @Test
    void more_extents_than_anyone_needs() throws Exception {
        long length = 4 + 4 + 16 * (NbdProtocol.EXTENTS_MAX + 1L);
        statusIsCutOff(
                "a chunk of extents of " + length,
                (wire, request) ->
                        header(wire, NbdProtocol.REPLY_TYPE_BLOCK_STATUS_EXT, request, length));
    }

    @Test
    void a_context_that_was_not_asked_for_or_that_is_told_twice() throws Exception {
        statusIsCutOff(
                "a context that was not asked for",
                (wire, request) -> wire.wideStatus(true, request.cookie(), 99, 1, BYTES, 0));
        statusIsCutOff(
                "or twice",
                (wire, request) -> {
                    long cookie = request.cookie();
                    wire.wideStatus(false, cookie, FakeServer.CONTEXT, 1, BYTES, 0);
                    wire.wideStatus(true, cookie, FakeServer.CONTEXT, 1, BYTES, 0);
                });
    }

    @Test
    void a_context_that_is_left_out() throws Exception {
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.contexts.put(8, "x:y");
                                    wire.handshake(true, FLAGS);
                                    wire.wideStatus(true, wire.request().cookie(), 8, 1, BYTES, 0);
                                });
                RemoteDevice device =
                        RemoteDevice.open(options(server).withContexts(List.of("x:y")))) {
            BlockException failure =
                    assertThrows(BlockException.class, () -> device.status("x:y", OFFSET, BYTES));
            assertTrue(
                    failure.getMessage().contains("answered without extents"), failure::getMessage);
        }
    }

    @Test
    void a_context_that_nobody_asked_for_in_the_handshake_is_not_used() throws Exception {
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.contexts.put(8, "x:y");
                                    wire.handshake(true, FLAGS);
                                });
                RemoteDevice device = RemoteDevice.open(options(server))) {
            assertEquals(1, device.export().contexts().size());
        }
    }

    @Test
    void a_server_that_knows_extended_headers_but_not_go() throws Exception {
        OptionReply no = new OptionReply.Refusal(NbdProtocol.REP_ERR_UNSUP, "");
        try (FakeServer server =
                new FakeServer(
                        wire -> {
                            wire.greet();
                            wire.answer(wire.option(), new OptionReply.Ack());
                            wire.answer(wire.option(), no);
                            wire.answer(wire.option(), no);
                        })) {
            BlockException failure =
                    assertThrows(BlockException.class, () -> RemoteDevice.open(options(server)));
            assertTrue(failure.getMessage().contains("but not GO"), failure::getMessage);
        }
    }

    @Test
    @Shows("extended.write-flag")
    void a_write_says_that_it_has_a_payload() throws Exception {
        AtomicReference<Received> received = new AtomicReference<>();
        AtomicReference<byte[]> payload = new AtomicReference<>();
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire -> {
                                    Received request = wire.request();
                                    received.set(request);
                                    payload.set(wire.payload);
                                    none(wire, request);
                                });
                RemoteDevice device = RemoteDevice.open(options(server))) {
            device.write(OFFSET, ByteBuffer.wrap(new byte[] {1, 2, 3}), WriteFlag.NONE);
            assertEquals(NbdProtocol.CMD_FLAG_PAYLOAD_LEN, received.get().flags());
            assertEquals(3, received.get().length());
            assertArrayEquals(new byte[] {1, 2, 3}, payload.get());
        }
    }

    private static void none(Wire wire, Received request) throws IOException {
        wire.chunk(DONE, NbdProtocol.REPLY_TYPE_NONE, request.cookie(), new byte[0]);
    }

    @Test
    void a_tebibyte_is_zeroed_discarded_and_asked_about_in_one_request_each() throws Exception {
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.handshake(true, FLAGS, 4 * TIB);
                                    for (int i = 0; i < 2; i++) {
                                        Received request = wire.request();
                                        assertEquals(3 * TIB, request.length());
                                        none(wire, request);
                                    }
                                    Received request = wire.request();
                                    assertEquals(4 * TIB, request.length());
                                    wire.wideStatus(
                                            true,
                                            request.cookie(),
                                            FakeServer.CONTEXT,
                                            2,
                                            TIB,
                                            3,
                                            5 * TIB,
                                            0);
                                });
                RemoteDevice device = RemoteDevice.open(options(server))) {
            device.zero(TIB, 3 * TIB, Set.of(WriteFlag.MAY_UNMAP));
            device.discard(TIB, 3 * TIB);
            assertEquals(
                    List.of(
                            Extent.of(0, TIB, Extent.Kind.HOLE),
                            Extent.of(TIB, 3 * TIB, Extent.Kind.DATA)),
                    device.extents(0, 4 * TIB));
        }
    }

    @Test
    void one_context_of_several_is_asked_for_by_itself_where_the_server_can() throws Exception {
        AtomicReference<byte[]> filter = new AtomicReference<>();
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.contexts.put(8, "x:y");
                                    wire.handshake(
                                            true, FLAGS | NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD);
                                    Received request = wire.request();
                                    filter.set(wire.payload);
                                    wire.wideStatus(true, request.cookie(), 8, 1, BYTES, 5L << 32);
                                });
                RemoteDevice device =
                        RemoteDevice.open(options(server).withContexts(List.of("x:y")))) {
            assertEquals(
                    List.of(new StatusExtent(OFFSET, BYTES, 5L << 32)),
                    device.status("x:y", OFFSET, BYTES));
            assertArrayEquals(
                    ByteBuffer.allocate(12).putLong(BYTES).putInt(8).array(), filter.get());
        }
    }
}
