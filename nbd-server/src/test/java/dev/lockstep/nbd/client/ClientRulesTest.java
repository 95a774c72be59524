package dev.lockstep.nbd.client;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
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
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;

/// The protocol's demands on a client that no other test shows.
@Timeout(60)
class ClientRulesTest {
    private static final OptionReply NO = new OptionReply.Refusal(NbdProtocol.REP_ERR_UNSUP, "");
    private static final int FLAGS = NbdProtocol.FLAG_HAS_FLAGS | NbdProtocol.FLAG_SEND_FLUSH;

    /// What arrived, written by the server's thread.
    private final Queue<Received> received = new ConcurrentLinkedQueue<>();

    @Test
    @Shows({
        "fixed.answer",
        "client-flags.no-zeroes",
        "client-flags.others",
        "handshake-flags.unknown"
    })
    void the_clients_flags_answer_what_was_offered_and_nothing_else() throws Exception {
        for (int[] offeredAndAnswered :
                new int[][] {{1, 1}, {3, 3}, {0xfff3, 3}, {0xfff1, 1}, {0, 0}, {2, 2}}) {
            Queue<Integer> answers = new ConcurrentLinkedQueue<>();
            try (FakeServer server =
                    new FakeServer(
                            wire -> {
                                wire.out.writeLong(NbdProtocol.INIT_MAGIC);
                                wire.out.writeLong(NbdProtocol.OPTION_MAGIC);
                                wire.out.writeShort(offeredAndAnswered[0]);
                                wire.out.flush();
                                answers.add(wire.in.readInt());
                                wire.hangUp();
                            })) {
                assertThrows(BlockException.class, () -> RemoteDevice.open(server.options()));
                assertEquals(List.of(offeredAndAnswered[1]), List.copyOf(answers));
            }
        }
    }

    @Test
    @Shows("fixed.one-at-a-time")
    void no_option_is_sent_before_the_last_reply_to_the_one_before() throws Exception {
        Queue<Integer> early = new ConcurrentLinkedQueue<>();
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.greet();
                                    int option = wire.option();
                                    while (option != NbdProtocol.OPT_GO) {
                                        early.add(bytesThatCome(wire));
                                        wire.answer(option, NO);
                                        option = wire.option();
                                    }
                                    wire.answer(option, new OptionReply.InfoName("x"));
                                    early.add(bytesThatCome(wire));
                                    wire.answer(option, new OptionReply.InfoExport(4096, FLAGS));
                                    wire.answer(option, new OptionReply.Ack());
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(4096, device.size());
            assertFalse(early.isEmpty());
            assertEquals(Set.of(0), new HashSet<>(early));
        }
    }

    private static int bytesThatCome(Wire wire) {
        await().during(Duration.ofMillis(50)).until(() -> wire.in.available() >= 0);
        try {
            return wire.in.available();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    @Shows({"info.repeated", "size.client-asks"})
    void information_is_asked_for_once_and_block_sizes_among_it() throws Exception {
        List<Integer> items = new ArrayList<>();
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.greet();
                                    items.addAll(itemsOfGo(wire));
                                    wire.answer(
                                            NbdProtocol.OPT_GO,
                                            new OptionReply.InfoExport(4096, FLAGS));
                                    wire.answer(NbdProtocol.OPT_GO, new OptionReply.Ack());
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(4096, device.size());
            assertEquals(items.size(), new HashSet<>(items).size(), items.toString());
            assertTrue(items.contains(NbdProtocol.INFO_BLOCK_SIZE), items.toString());
        }
    }

    private static List<Integer> itemsOfGo(Wire wire) throws IOException {
        while (true) {
            wire.in.readLong();
            int code = wire.in.readInt();
            ByteBuffer data = ByteBuffer.wrap(wire.in.readNBytes(wire.in.readInt()));
            if (code != NbdProtocol.OPT_GO) {
                wire.answer(code, NO);
                continue;
            }
            data.position(4 + data.getInt());
            List<Integer> items = new ArrayList<>();
            for (int left = data.getShort(); left > 0; left--) {
                items.add((int) data.getShort());
            }
            return items;
        }
    }

    @Test
    @Shows({"info.unknown-replies", "rep.order", "flags.unknown"})
    void information_comes_in_any_order_and_what_is_unknown_is_ignored() throws Exception {
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.greet();
                                    itemsOfGo(wire);
                                    int go = NbdProtocol.OPT_GO;
                                    wire.answer(
                                            go, new OptionReply.InfoBlockSize(1, 4096, 1 << 25));
                                    wire.out.writeLong(NbdProtocol.OPTION_REPLY_MAGIC);
                                    wire.out.writeInt(go);
                                    wire.out.writeInt(NbdProtocol.REP_INFO);
                                    wire.out.writeInt(5);
                                    wire.out.writeShort(99);
                                    wire.out.write(new byte[3]);
                                    wire.answer(
                                            go, new OptionReply.InfoExport(8192, 0xe000 | FLAGS));
                                    wire.answer(go, new OptionReply.InfoName("x"));
                                    wire.answer(go, new OptionReply.Ack());
                                    wire.simple(wire.request().cookie(), 0);
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(8192, device.size());
            device.flush();
        }
    }

    @Test
    @Shows({
        "flags.client",
        "trim.client",
        "flush.client",
        "zeroes.client",
        "cmd.client-flags",
        "compact.no-payload-flag",
        "baseline.negotiate"
    })
    void without_any_offer_a_client_reads_and_writes_and_nothing_else() throws Exception {
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.handshake(false, NbdProtocol.FLAG_HAS_FLAGS);
                                    answerAll(wire);
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            Gate gate = new Gate(device);
            gate.write(0, ByteBuffer.allocate(512), WriteFlag.DURABLE);
            gate.zero(0, 512, EnumSet.of(WriteFlag.MAY_UNMAP));
            gate.discard(0, 512);
            gate.flush();
            gate.read(0, ByteBuffer.allocate(512));
            gate.extents(0, 512);
        }
        await().until(() -> commands(received).contains(NbdProtocol.CMD_DISC));
        assertEquals(
                Set.of(NbdProtocol.CMD_READ, NbdProtocol.CMD_WRITE, NbdProtocol.CMD_DISC),
                commands(received));
        assertTrue(received.stream().allMatch(request -> request.flags() == 0));
    }

    @Test
    @Shows("disc.client")
    void the_last_thing_a_client_says_is_a_disconnect_about_nothing() throws Exception {
        Queue<Integer> afterwards = new ConcurrentLinkedQueue<>();
        try (FakeServer server =
                FakeServer.afterHandshake(
                        false,
                        wire -> {
                            received.add(wire.request());
                            afterwards.add(wire.in.read());
                        })) {
            RemoteDevice.open(server.options()).close();
            await().until(() -> !afterwards.isEmpty());
        }
        Received last = received.element();
        assertEquals(NbdProtocol.CMD_DISC, last.command());
        assertEquals(0, last.offset());
        assertEquals(0, last.length());
        assertEquals(List.of(-1), List.copyOf(afterwards), "then the stream ends");
    }

    @Test
    @Shows("cookie.distinct")
    void requests_in_flight_have_different_cookies() throws Exception {
        int count = 50;
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                false,
                                wire -> {
                                    for (int i = 0; i < count; i++) {
                                        received.add(wire.request());
                                    }
                                    for (Received request : received) {
                                        wire.simple(request.cookie(), 0);
                                    }
                                });
                RemoteDevice device = RemoteDevice.open(server.options().withMaxInFlight(count))) {
            List<Pending> pending = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                pending.add(device.startWrite(0, ByteBuffer.allocate(1), WriteFlag.NONE));
            }
            for (Pending each : pending) {
                each.await();
            }
            assertEquals(count, received.stream().map(Received::cookie).distinct().count());
        }
    }

    @Test
    @Shows({"size.client-range", "size.client-payload", "size.client-abides"})
    void what_breaks_the_servers_sizes_is_not_sent() throws Exception {
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.greet();
                                    itemsOfGo(wire);
                                    int go = NbdProtocol.OPT_GO;
                                    wire.answer(go, new OptionReply.InfoBlockSize(512, 512, 65536));
                                    wire.answer(go, new OptionReply.InfoExport(1 << 20, FLAGS));
                                    wire.answer(go, new OptionReply.Ack());
                                    answerAll(wire);
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            Gate gate = new Gate(device);
            gate.write(512, ByteBuffer.allocate(300 << 10), WriteFlag.NONE);
            gate.write(777, ByteBuffer.allocate(1000), WriteFlag.NONE);
            assertThrows(
                    BlockException.class,
                    () -> gate.write((1 << 20) - 1, ByteBuffer.allocate(2), WriteFlag.NONE));
        }
        assertTrue(received.size() > 5, received.toString());
        for (Received request : received) {
            assertEquals(0, request.offset() % 512, request.toString());
            assertEquals(0, request.length() % 512, request.toString());
            assertTrue(request.length() <= 65536, request.toString());
            assertTrue(request.offset() + request.length() <= 1 << 20, request.toString());
        }
    }

    @Test
    @Shows({"error.unexpected"})
    void an_error_that_nobody_knows_fails_its_request_as_invalid_and_no_other() throws Exception {
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                false,
                                wire -> {
                                    wire.simple(wire.request().cookie(), 4711);
                                    wire.simple(wire.request().cookie(), 0);
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            BlockException failure = assertThrows(BlockException.class, device::flush);
            assertEquals(Kind.INVALID, failure.kind());
            device.flush();
        }
    }

    @Test
    @Shows({"chunk.unknown-error", "reply.unknown-flags"})
    void an_error_chunk_of_an_unknown_type_fails_its_request_and_no_other() throws Exception {
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire -> {
                                    byte[] words = {0, 0, 0, 28, 0, 1, 'x', 9, 9, 9};
                                    wire.chunk(
                                            NbdProtocol.REPLY_FLAG_DONE,
                                            NbdProtocol.REPLY_TYPE_FLAG_ERROR | 99,
                                            wire.request().cookie(),
                                            words);
                                    wire.chunk(
                                            0xfffe | NbdProtocol.REPLY_FLAG_DONE,
                                            NbdProtocol.REPLY_TYPE_NONE,
                                            wire.request().cookie(),
                                            new byte[0]);
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertThrows(BlockException.class, device::flush);
            device.flush();
        }
    }

    @Test
    @Shows("allocation.unknown-flags")
    void flags_of_an_extent_that_nobody_knows_are_ignored() throws Exception {
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire -> {
                                    Received asked = wire.request();
                                    if (asked.flags() == 0) {
                                        wire.status(
                                                asked.cookie(),
                                                FakeServer.CONTEXT,
                                                4096,
                                                0xffff_fff3,
                                                4096,
                                                0xffff_fff0);
                                    }
                                });
                RemoteDevice device =
                        RemoteDevice.open(server.options().withHeaders(HeaderStyle.STRUCTURED))) {
            assertEquals(
                    List.of(
                            Extent.of(0, 4096, Extent.Kind.HOLE),
                            Extent.of(4096, 4096, Extent.Kind.DATA)),
                    device.extents(0, 8192));
        }
    }

    @Test
    @Shows("export-name.extended")
    void export_name_is_not_used_with_extended_headers() throws Exception {
        Queue<Integer> options = new ConcurrentLinkedQueue<>();
        try (FakeServer server =
                new FakeServer(
                        wire -> {
                            wire.greet();
                            while (true) {
                                int option = wire.option();
                                options.add(option);
                                wire.answer(
                                        option,
                                        option == NbdProtocol.OPT_EXTENDED_HEADERS
                                                ? new OptionReply.Ack()
                                                : NO);
                            }
                        })) {
            RemoteOptions extended = server.options().withHeaders(HeaderStyle.EXTENDED);
            assertThrows(BlockException.class, () -> RemoteDevice.open(extended));
            assertTrue(options.contains(NbdProtocol.OPT_GO), options.toString());
            assertFalse(options.contains(NbdProtocol.OPT_EXPORT_NAME), options.toString());
        }
    }

    @Test
    @Shows({"extended.write-flag", "extended.headers", "extended.offset-check"})
    void with_extended_headers_a_write_says_that_it_has_a_payload_and_offsets_are_compared()
            throws Exception {
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                true,
                                wire -> {
                                    Received write = wire.request();
                                    received.add(write);
                                    wire.chunk(
                                            NbdProtocol.REPLY_FLAG_DONE,
                                            NbdProtocol.REPLY_TYPE_NONE,
                                            write.cookie(),
                                            new byte[0]);
                                    Received second = wire.request();
                                    wire.offsets.put(second.cookie(), second.offset() + 1);
                                    wire.chunk(
                                            NbdProtocol.REPLY_FLAG_DONE,
                                            NbdProtocol.REPLY_TYPE_NONE,
                                            second.cookie(),
                                            new byte[0]);
                                });
                RemoteDevice device =
                        RemoteDevice.open(server.options().withHeaders(HeaderStyle.EXTENDED))) {
            device.write(512, ByteBuffer.allocate(512), WriteFlag.NONE);
            assertEquals(NbdProtocol.CMD_FLAG_PAYLOAD_LEN, received.element().flags());
            BlockException failure =
                    assertThrows(
                            BlockException.class,
                            () -> device.write(0, ByteBuffer.allocate(1), WriteFlag.NONE));
            assertEquals(Kind.GONE, failure.kind());
        }
    }

    private void answerAll(Wire wire) throws IOException {
        while (true) {
            Received request = wire.request();
            received.add(request);
            wire.simple(request.cookie(), 0);
            if (request.command() == NbdProtocol.CMD_READ) {
                wire.out.write(new byte[(int) request.length()]);
                wire.out.flush();
            }
        }
    }

    private static Set<Integer> commands(Queue<Received> requests) {
        return new HashSet<>(requests.stream().map(Received::command).toList());
    }

    @Test
    @Shows("soft.abort")
    void a_handshake_that_leads_nowhere_is_ended_by_abort() throws Exception {
        OptionReply unknown = new OptionReply.Refusal(NbdProtocol.REP_ERR_UNKNOWN, "");
        assertEquals(
                NbdProtocol.OPT_ABORT,
                optionAfter(
                        wire -> {
                            wire.answer(wire.option(), NO);
                            wire.answer(wire.option(), unknown);
                        }));
    }

    @Test
    @Shows("shutdown.client")
    void a_server_that_is_shutting_down_in_the_handshake_hears_nothing_but_abort()
            throws Exception {
        OptionReply leaving = new OptionReply.Refusal(NbdProtocol.REP_ERR_SHUTDOWN, "");
        assertEquals(
                NbdProtocol.OPT_ABORT, optionAfter(wire -> wire.answer(wire.option(), leaving)));
    }

    /// What the client sends after what the script has answered.
    private static int optionAfter(FakeServer.Script script) throws Exception {
        Queue<Integer> last = new ConcurrentLinkedQueue<>();
        try (FakeServer server =
                new FakeServer(
                        wire -> {
                            wire.greet();
                            script.run(wire);
                            last.add(wire.option());
                        })) {
            assertThrows(BlockException.class, () -> RemoteDevice.open(server.options()));
            await().until(() -> !last.isEmpty());
            return last.remove();
        }
    }

    @Test
    @Shows("flush.waits")
    void a_flush_after_a_write_on_another_connection_leaves_after_the_writes_reply()
            throws Exception {
        int flags = FLAGS | NbdProtocol.FLAG_CAN_MULTI_CONN;
        Queue<String> events = new ConcurrentLinkedQueue<>();
        FakeServer.Script script =
                wire -> {
                    wire.handshake(true, flags);
                    while (true) {
                        Received request = wire.request();
                        events.add(request.command() + " came");
                        events.add(request.command() + " was answered");
                        wire.simple(request.cookie(), 0);
                    }
                };
        try (FakeServer server = new FakeServer(script, script);
                RemoteDevice device = RemoteDevice.open(server.options().withConnections(2))) {
            Gate gate = new Gate(device);
            gate.write(0, ByteBuffer.allocate(512), EnumSet.of(WriteFlag.FUA));
            assertEquals(
                    List.of("1 came", "1 was answered", "3 came", "3 was answered"),
                    List.copyOf(events));
        }
    }
}
