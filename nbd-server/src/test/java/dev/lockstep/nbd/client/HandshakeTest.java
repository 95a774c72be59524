package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.client.FakeServer.Script;
import dev.lockstep.nbd.client.FakeServer.Wire;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.net.StandardSocketOptions;
import java.nio.channels.SocketChannel;
import java.time.Duration;

/// What a server may and may not say before the first request.
@Timeout(30)
class HandshakeTest {
    private static void handshakeFails(Kind kind, String words, Script script) throws Exception {
        try (FakeServer server = new FakeServer(script)) {
            RemoteOptions options =
                    server.options().withDeadlines(Duration.ofMillis(500), Duration.ofSeconds(9));
            BlockException failure =
                    assertThrows(BlockException.class, () -> RemoteDevice.open(options));
            assertEquals(kind, failure.kind(), failure::getMessage);
            assertSays(words, failure);
        }
    }

    @Test
    void a_greeting_of_something_else() throws Exception {
        handshakeFails(
                Kind.GONE,
                "this is no NBD server",
                wire -> wire.out.writeBytes("SSH-2.0-OpenSSH_10.0\r\n"));
    }

    @Test
    void the_oldstyle_handshake() throws Exception {
        handshakeFails(
                Kind.UNSUPPORTED,
                "oldstyle",
                wire -> {
                    wire.out.writeLong(NbdProtocol.INIT_MAGIC);
                    wire.out.writeLong(NbdProtocol.OLDSTYLE_MAGIC);
                });
    }

    @Test
    void a_server_that_accepts_and_says_nothing() throws Exception {
        handshakeFails(Kind.TIMEOUT, "no answer within 500 ms", _ -> {});
    }

    @Test
    void a_server_that_falls_silent_halfway() throws Exception {
        handshakeFails(Kind.TIMEOUT, "no answer within 500 ms", Wire::greet);
    }

    @Test
    @Shows("rep.lengths")
    void a_reply_to_an_option_that_is_too_long_to_be_meant() throws Exception {
        handshakeFails(
                Kind.GONE,
                "a reply of 4294967295 bytes",
                wire -> {
                    wire.greet();
                    wire.out.writeLong(NbdProtocol.OPTION_REPLY_MAGIC);
                    wire.out.writeInt(wire.option());
                    wire.out.writeInt(NbdProtocol.REP_ACK);
                    wire.out.writeInt(-1);
                });
    }

    @Test
    void replies_without_end() throws Exception {
        handshakeFails(
                Kind.GONE,
                "more than 64 replies",
                wire -> {
                    wire.greet();
                    wire.answer(wire.option(), new OptionReply.Ack());
                    int option = wire.option();
                    while (true) {
                        wire.answer(option, new OptionReply.MetaContext(1, "x:y"));
                    }
                });
    }

    @Test
    @Shows("size.nonsense")
    void block_sizes_that_make_no_sense() throws Exception {
        for (int[] sizes : new int[][] {{0, 4096}, {3, 4096}, {1 << 20, 1 << 20}, {512, 100}}) {
            handshakeFails(
                    Kind.GONE,
                    "block sizes that make no sense",
                    wire -> {
                        wire.greet();
                        OptionReply no = new OptionReply.Refusal(NbdProtocol.REP_ERR_UNSUP, "");
                        wire.answer(wire.option(), no);
                        int go = wire.option();
                        wire.answer(go, new OptionReply.InfoBlockSize(sizes[0], sizes[1], 1 << 25));
                        wire.answer(go, new OptionReply.Ack());
                    });
        }
    }

    @Test
    void an_export_whose_size_is_never_told() throws Exception {
        handshakeFails(
                Kind.GONE,
                "never told the export's size",
                wire -> {
                    wire.greet();
                    OptionReply no = new OptionReply.Refusal(NbdProtocol.REP_ERR_UNSUP, "");
                    wire.answer(wire.option(), no);
                    wire.answer(wire.option(), new OptionReply.Ack());
                });
    }

    @Test
    void a_refusal_is_told_in_the_servers_words() throws Exception {
        handshakeFails(
                Kind.UNSUPPORTED,
                "insists on TLS",
                wire -> {
                    wire.greet();
                    OptionReply no = new OptionReply.Refusal(NbdProtocol.REP_ERR_TLS_REQD, "");
                    wire.answer(wire.option(), no);
                    wire.answer(wire.option(), no);
                });
        handshakeFails(
                Kind.DENIED,
                "(the server says: not you)",
                wire -> {
                    wire.greet();
                    OptionReply no = new OptionReply.Refusal(NbdProtocol.REP_ERR_POLICY, "not you");
                    wire.answer(wire.option(), no);
                    wire.answer(wire.option(), no);
                });
    }

    @Test
    @Shows({"export-name.prefer-go", "structured.unsupported", "extended.unsupported"})
    void a_server_without_go_is_asked_by_export_name() throws Exception {
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.greet();
                                    OptionReply no =
                                            new OptionReply.Refusal(NbdProtocol.REP_ERR_UNSUP, "");
                                    wire.answer(wire.option(), no);
                                    wire.answer(wire.option(), no);
                                    assertEquals(NbdProtocol.OPT_EXPORT_NAME, wire.option());
                                    wire.out.writeLong(4096);
                                    wire.out.writeShort(NbdProtocol.FLAG_HAS_FLAGS);
                                    wire.out.flush();
                                });
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(4096, device.size());
            device.flush();
        }
    }

    private static void assertSays(String words, BlockException failure) {
        String message = String.valueOf(failure.getMessage());
        assertTrue(message.contains(words), message);
    }

    @Test
    @Shows("nodelay")
    void a_connection_over_tcp_holds_small_messages_not_back() throws Exception {
        try (FakeServer server = new FakeServer(FakeServer.Wire::greet);
                SocketChannel socket =
                        Connecting.within(
                                server.options(),
                                dialogue -> ((Link.Plain) dialogue.link()).socket())) {
            assertTrue(socket.getOption(StandardSocketOptions.TCP_NODELAY));
        }
    }
}
