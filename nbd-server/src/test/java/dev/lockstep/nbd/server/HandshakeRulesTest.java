package dev.lockstep.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.conformance.Shows;
import dev.lockstep.nbd.server.RawClient.Simple;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

/// The protocol's demands on a server during the handshake that no other test shows.
class HandshakeRulesTest {
    private static final long SIZE = 1 << 20;
    private static final List<Integer> INFO_ALL =
            List.of(
                    NbdProtocol.INFO_NAME,
                    NbdProtocol.INFO_DESCRIPTION,
                    NbdProtocol.INFO_BLOCK_SIZE);

    private final MemoryDevice memory = new MemoryDevice("disk", SIZE);
    private final NbdServer server =
            NbdServer.start(
                    Exports.of(
                            new Export("disk", "words", new Gate(memory)),
                            new Export("frozen", Gate.readOnly(memory))));
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
    @Shows({"handshake-flags.fixed", "handshake-flags.others"})
    void the_greeting_offers_fixed_newstyle_and_no_zeroes_and_nothing_else() throws IOException {
        try (RawClient client = RawClient.connect(address)) {
            assertEquals(
                    NbdProtocol.FLAG_FIXED_NEWSTYLE | NbdProtocol.FLAG_NO_ZEROES,
                    client.handshakeFlags);
        }
    }

    @Test
    @Shows({"handshake-flags.no-zeroes", "export-name.size"})
    void without_zeroes_nothing_follows_the_answer_to_export_name() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            client.send(OptionCodec.encode(new Option.ExportName("disk")));
            assertEquals(SIZE, client.receive(8).getLong());
            assertNotEquals(0, client.receive(2).getShort() & NbdProtocol.FLAG_HAS_FLAGS);
            assertWorks(client);
        }
    }

    @Test
    @Shows("go.no-padding")
    void no_padding_follows_go_even_for_a_client_that_would_bear_it() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(1)) {
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
        }
    }

    @Test
    @Shows("abort.data")
    void data_sent_with_abort_is_ignored() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            option(client, NbdProtocol.OPT_ABORT, new byte[] {1, 2, 3});
            assertEquals(List.of(new OptionReply.Ack()), client.replies());
            assertTrue(client.isHungUp());
        }
    }

    @Test
    @Shows("abort.no-reply")
    void a_client_that_aborts_and_leaves_at_once_harms_nobody() throws IOException {
        for (int i = 0; i < 20; i++) {
            RawClient client = RawClient.connect(address).flags(3);
            option(client, NbdProtocol.OPT_ABORT, new byte[0]);
            client.close();
        }
        try (RawClient client = RawClient.simple(address, "disk")) {
            assertWorks(client);
        }
    }

    @Test
    @Shows({"list.data", "starttls.data", "structured.data", "extended.data", "baseline.next"})
    void options_that_take_no_data_refuse_it_as_invalid_and_the_next_is_heard() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            for (int code :
                    List.of(
                            NbdProtocol.OPT_LIST,
                            NbdProtocol.OPT_STARTTLS,
                            NbdProtocol.OPT_STRUCTURED_REPLY,
                            NbdProtocol.OPT_EXTENDED_HEADERS)) {
                option(client, code, new byte[] {1, 2, 3});
                assertRefused(NbdProtocol.REP_ERR_INVALID, client.replies());
            }
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
        }
    }

    @Test
    @Shows({"option.unknown", "baseline.next"})
    void every_unknown_option_is_refused_as_such_with_data_of_any_length() throws IOException {
        Random random = new Random(1);
        try (RawClient client = RawClient.connect(address).flags(3)) {
            for (int code : List.of(0, NbdProtocol.OPT_PEEK_EXPORT, 12, 99, -1)) {
                option(client, code, new byte[random.nextInt(3000)]);
                assertRefused(NbdProtocol.REP_ERR_UNSUP, client.replies());
            }
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
        }
    }

    @Test
    @Shows("option.name-length")
    void a_name_that_is_longer_than_its_option_is_invalid() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            byte[] data =
                    ByteBuffer.allocate(10)
                            .putInt(5)
                            .put("disk".getBytes(StandardCharsets.UTF_8))
                            .array();
            option(client, NbdProtocol.OPT_GO, data);
            assertRefused(NbdProtocol.REP_ERR_INVALID, client.replies());
        }
    }

    @Test
    @Shows({"info.same", "info.export", "rep.once"})
    void go_says_what_the_same_info_said() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            client.ask(new Option.StructuredReply());
            List<OptionReply> told = client.ask(new Option.ExportInfo("disk", INFO_ALL));
            assertEquals(told.size(), Set.copyOf(told).size());
            assertEquals(told, client.ask(new Option.Go("disk", INFO_ALL)));
        }
    }

    @Test
    @Shows({"size.minimum", "size.preferred", "size.maximum"})
    void block_sizes_are_sane() throws IOException {
        for (String export : List.of("disk", "frozen")) {
            try (RawClient client = RawClient.connect(address).flags(3)) {
                OptionReply.InfoBlockSize sizes =
                        client.ask(new Option.Go(export, INFO_ALL)).stream()
                                .filter(OptionReply.InfoBlockSize.class::isInstance)
                                .map(OptionReply.InfoBlockSize.class::cast)
                                .findFirst()
                                .orElseThrow();
                assertEquals(1, Integer.bitCount(sizes.minimum()));
                assertTrue(sizes.minimum() <= 1 << 16, sizes.toString());
                assertEquals(1, Integer.bitCount(sizes.preferred()));
                assertTrue(sizes.preferred() >= Math.max(512, sizes.minimum()), sizes.toString());
                assertTrue(sizes.maximum() >= sizes.preferred(), sizes.toString());
            }
        }
    }

    /// As qemu-nbd 10 tells it: who asks has yet to choose the contexts.
    @Test
    void the_payload_of_block_status_is_told_to_who_asks_before_contexts_are_chosen()
            throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            client.ask(new Option.ExtendedHeaders());
            int asked = flags(client.ask(new Option.ExportInfo("disk", List.of())));
            int used = flags(client.ask(new Option.Go("disk", List.of())));
            assertEquals(NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD, asked ^ used);
        }
    }

    @Test
    @Shows({"flags.has-flags", "flags.df", "flags.fast-zero", "flags.payload"})
    void transmission_flags_fit_together_whatever_was_agreed() throws IOException {
        for (String export : List.of("disk", "frozen")) {
            for (boolean structured : new boolean[] {false, true}) {
                try (RawClient client = RawClient.connect(address).flags(3)) {
                    if (structured) {
                        client.ask(new Option.StructuredReply());
                    }
                    int flags = flags(client.ask(new Option.Go(export, List.of())));
                    assertNotEquals(0, flags & NbdProtocol.FLAG_HAS_FLAGS);
                    assertEquals(structured, (flags & NbdProtocol.FLAG_SEND_DF) != 0);
                    assertEquals(0, flags & NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD);
                    assertTrue(
                            (flags & NbdProtocol.FLAG_SEND_WRITE_ZEROES) != 0
                                    || (flags & NbdProtocol.FLAG_SEND_FAST_ZERO) == 0);
                }
            }
        }
    }

    @Test
    @Shows({"notls.starttls", "notls.no-tls-reqd"})
    void a_server_without_tls_says_so_and_never_demands_it() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            OptionReply.Refusal refusal =
                    assertInstanceOf(
                            OptionReply.Refusal.class, client.ask(new Option.StartTls()).getLast());
            assertTrue(
                    refusal.type() == NbdProtocol.REP_ERR_UNSUP
                            || refusal.type() == NbdProtocol.REP_ERR_POLICY,
                    refusal.toString());
            assertRefused(NbdProtocol.REP_ERR_UNKNOWN, client.ask(new Option.Go("no", List.of())));
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
        }
    }

    @Test
    @Shows({"base.wildcard-set", "context.wildcard-set", "set-context.none", "base.unknown"})
    void a_selection_takes_whole_names_only() throws IOException {
        for (List<String> queries :
                List.of(
                        List.<String>of(),
                        List.of("base:"),
                        List.of("qemu:"),
                        List.of("base:no-such-leaf"),
                        List.of("x-nobody:anything"))) {
            try (RawClient client = RawClient.connect(address).flags(3)) {
                client.ask(new Option.StructuredReply());
                assertEquals(
                        List.of(new OptionReply.Ack()),
                        client.ask(new Option.SetMetaContext("disk", queries)),
                        queries.toString());
            }
        }
    }

    @Test
    @Shows({"context.names", "set-context.ids", "list-context.all", "list-context.id"})
    void every_context_that_is_listed_can_be_selected_and_has_an_id_of_its_own()
            throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            client.ask(new Option.StructuredReply());
            List<String> names =
                    client.ask(new Option.ListMetaContext("disk", List.of())).stream()
                            .filter(OptionReply.MetaContext.class::isInstance)
                            .map(OptionReply.MetaContext.class::cast)
                            .peek(context -> assertEquals(0, context.id()))
                            .map(OptionReply.MetaContext::name)
                            .filter(name -> !name.endsWith(":"))
                            .toList();
            assertTrue(names.contains("base:allocation"), names.toString());
            assertTrue(names.stream().allMatch(name -> name.matches("[^:\\s]+:.+")));
            Set<Integer> ids = new HashSet<>();
            for (OptionReply reply : client.ask(new Option.SetMetaContext("disk", names))) {
                if (reply instanceof OptionReply.MetaContext(int id, String name)) {
                    assertTrue(names.contains(name), name);
                    assertTrue(ids.add(id), "an id given twice");
                }
            }
            assertEquals(names.size(), ids.size());
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

    private static int flags(List<OptionReply> replies) {
        return replies.stream()
                .filter(OptionReply.InfoExport.class::isInstance)
                .map(OptionReply.InfoExport.class::cast)
                .findFirst()
                .orElseThrow()
                .transmissionFlags();
    }

    private static void assertRefused(int type, List<OptionReply> replies) {
        assertEquals(1, replies.size(), replies.toString());
        assertEquals(
                type,
                assertInstanceOf(OptionReply.Refusal.class, replies.getFirst()).type(),
                replies.toString());
    }

    private static void assertWorks(RawClient client) throws IOException {
        client.request(NbdProtocol.CMD_READ, 77, 4096, 4096);
        assertEquals(new Simple(0, 77), client.simpleReply());
        client.receive(4096);
    }
}
