package dev.lockstep.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Negotiation.Asked;
import dev.lockstep.nbd.Negotiation.ClientFlags;
import dev.lockstep.nbd.Negotiation.Closed;
import dev.lockstep.nbd.Negotiation.Haggling;
import dev.lockstep.nbd.Negotiation.Reply;
import dev.lockstep.nbd.Negotiation.State;
import dev.lockstep.nbd.Negotiation.Step;
import dev.lockstep.nbd.Negotiation.ToExportName;
import dev.lockstep.nbd.Negotiation.ToOption;
import dev.lockstep.nbd.Negotiation.Transmission;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.Test;

import java.util.List;

/// Every state and message of the handshake, without a socket.
class NegotiationTest {
    private static final long SIZE = 1 << 20;
    private static final int BOTH_FLAGS =
            NbdProtocol.FLAG_C_FIXED_NEWSTYLE | NbdProtocol.FLAG_C_NO_ZEROES;

    private final Export disk =
            new Export("disk", "a disk", new Gate(new MemoryDevice("disk", SIZE)));
    private final Export frozen =
            new Export("frozen", Gate.readOnly(new MemoryDevice("frozen", SIZE)));
    private final Negotiation negotiation = new Negotiation(Exports.of(disk, frozen), true);

    @Test
    @Shows("handshake-flags.fixed")
    void the_clients_flags_lead_to_haggling() {
        Step step = negotiation.step(negotiation.start(), new ClientFlags(BOTH_FLAGS));
        Haggling haggling = assertInstanceOf(Haggling.class, step.next());
        assertTrue(haggling.agreed().fixedNewstyle());
        assertTrue(haggling.agreed().noZeroes());
        assertEquals(List.of(), step.replies());
    }

    @Test
    @Shows({"client-flags.unknown", "client-flags.unoffered"})
    void unknown_client_flags_end_the_session() {
        Step step = negotiation.step(negotiation.start(), new ClientFlags(BOTH_FLAGS | 1 << 5));
        assertInstanceOf(Closed.class, step.next());
    }

    @Test
    void an_option_before_the_flags_ends_the_session() {
        Step step = negotiation.step(negotiation.start(), new Asked(new Option.ListExports()));
        assertInstanceOf(Closed.class, step.next());
    }

    @Test
    @Shows({"export-name.size", "interop.export-name"})
    void a_client_without_fixed_newstyle_may_only_name_an_export() {
        State plain = negotiation.step(negotiation.start(), new ClientFlags(0)).next();
        Step listed = negotiation.step(plain, new Asked(new Option.ListExports()));
        assertInstanceOf(Closed.class, listed.next());
        Step named = negotiation.step(plain, new Asked(new Option.ExportName("disk")));
        assertInstanceOf(Transmission.class, named.next());
        ToExportName answer = assertInstanceOf(ToExportName.class, named.replies().getFirst());
        assertTrue(answer.padded());
        assertEquals(SIZE, answer.size());
    }

    @Test
    @Shows("export-name.unwilling")
    void naming_an_export_that_is_not_there_ends_the_session() {
        assertInstanceOf(Closed.class, ask(haggling(), new Option.ExportName("nope")).next());
    }

    @Test
    void a_listing_shows_every_export_and_then_acknowledges() {
        Step step = ask(haggling(), new Option.ListExports());
        assertEquals(
                List.of(
                        new OptionReply.Server("disk", "a disk"),
                        new OptionReply.Server("frozen", ""),
                        new OptionReply.Ack()),
                bodies(step));
        assertInstanceOf(Haggling.class, step.next());
    }

    @Test
    @Shows({"info.export", "info.unknown-items", "rep.once"})
    void info_tells_what_was_asked_and_stays() {
        Step step =
                ask(
                        haggling(),
                        new Option.ExportInfo(
                                "disk",
                                List.of(
                                        NbdProtocol.INFO_BLOCK_SIZE,
                                        NbdProtocol.INFO_NAME,
                                        NbdProtocol.INFO_DESCRIPTION,
                                        77)));
        assertInstanceOf(Haggling.class, step.next());
        assertEquals(
                List.of(
                        new OptionReply.InfoExport(
                                SIZE, disk.transmissionFlags(true, HeaderStyle.SIMPLE, false)),
                        new OptionReply.InfoName("disk"),
                        new OptionReply.InfoDescription("a disk"),
                        new OptionReply.InfoBlockSize(
                                1, disk.preferredBlockSize(), NbdProtocol.PAYLOAD_BYTES_MAX),
                        new OptionReply.Ack()),
                bodies(step));
    }

    @Test
    void go_enters_transmission() {
        Step step = ask(haggling(), new Option.Go("disk", List.of()));
        assertEquals(transmission(disk, HeaderStyle.SIMPLE), step.next());
    }

    @Test
    @Shows({"soft.server-goes-on", "info.refused"})
    void go_for_an_unknown_export_is_refused_with_the_reason_and_haggling_goes_on() {
        Step step = ask(haggling(), new Option.Go("nope", List.of()));
        assertInstanceOf(Haggling.class, step.next());
        OptionReply.Refusal refusal =
                assertInstanceOf(OptionReply.Refusal.class, bodies(step).getFirst());
        assertEquals(NbdProtocol.REP_ERR_UNKNOWN, refusal.type());
        assertTrue(refusal.message().contains("'nope'"), refusal.message());
    }

    @Test
    @Shows("abort.ack")
    void abort_is_acknowledged_before_the_end() {
        Step step = ask(haggling(), new Option.Abort());
        assertInstanceOf(Closed.class, step.next());
        assertEquals(List.of(new OptionReply.Ack()), bodies(step));
    }

    @Test
    @Shows("option.unknown")
    void an_unknown_option_is_refused_and_haggling_goes_on() {
        Step step = ask(haggling(), new Option.Unknown(4711));
        assertInstanceOf(Haggling.class, step.next());
        assertRefused(NbdProtocol.REP_ERR_UNSUP, step);
    }

    @Test
    void tls_is_refused() {
        assertRefused(NbdProtocol.REP_ERR_UNSUP, ask(haggling(), new Option.StartTls()));
    }

    @Test
    @Shows("set-context.structured")
    void metadata_contexts_need_structured_replies() {
        assertRefused(NbdProtocol.REP_ERR_INVALID, ask(haggling(), allocationOf("disk")));
    }

    @Test
    void a_selected_context_counts_for_its_export_only() {
        State chosen = ask(structured(), allocationOf("disk")).next();
        assertEquals(
                transmission(
                        disk,
                        HeaderStyle.STRUCTURED,
                        new ContextSelection.Selected(1, disk.contexts().getFirst())),
                ask(chosen, new Option.Go("disk", List.of())).next());
        assertEquals(
                transmission(frozen, HeaderStyle.STRUCTURED),
                ask(chosen, new Option.Go("frozen", List.of())).next());
    }

    @Test
    @Shows({"set-context.replaces", "set-context.none", "base.unknown"})
    void a_later_selection_replaces_an_earlier_one_even_if_it_fails() {
        State chosen = ask(structured(), allocationOf("disk")).next();
        for (Option later :
                List.of(
                        new Option.SetMetaContext("disk", List.of("x-unknown:thing")),
                        new Option.SetMetaContext("disk", List.of()),
                        allocationOf("nope"),
                        new Option.Malformed(
                                NbdProtocol.OPT_SET_META_CONTEXT,
                                NbdProtocol.REP_ERR_INVALID,
                                "short"))) {
            State replaced = ask(chosen, later).next();
            assertEquals(
                    transmission(disk, HeaderStyle.STRUCTURED),
                    ask(replaced, new Option.Go("disk", List.of())).next(),
                    later.toString());
        }
    }

    @Test
    @Shows({
        "base.wildcard-list",
        "list-context.all",
        "list-context.matching",
        "list-context.none",
        "list-context.unknown",
        "list-context.id"
    })
    void a_listing_of_contexts_knows_the_wildcard_and_selects_nothing() {
        for (List<String> queries :
                List.of(List.<String>of(), List.of("base:"), List.of("base:allocation"))) {
            Step step = ask(structured(), new Option.ListMetaContext("disk", queries));
            assertEquals(
                    List.of(
                            new OptionReply.MetaContext(0, "base:allocation"),
                            new OptionReply.Ack()),
                    bodies(step));
            assertEquals(
                    List.of(),
                    ((Transmission) ask(step.next(), new Option.Go("disk", List.of())).next())
                            .contexts());
        }
        Step none = ask(structured(), new Option.ListMetaContext("disk", List.of("qemu:")));
        assertEquals(List.of(new OptionReply.Ack()), bodies(none));
    }

    @Test
    @Shows({"flags.df", "flags.fast-zero", "flags.multi-conn"})
    void the_flags_tell_what_the_export_can_do() {
        int writable = disk.transmissionFlags(true, HeaderStyle.STRUCTURED, true);
        assertTrue((writable & NbdProtocol.FLAG_CAN_MULTI_CONN) != 0);
        assertTrue((writable & NbdProtocol.FLAG_SEND_DF) != 0);
        assertTrue((writable & NbdProtocol.FLAG_SEND_FAST_ZERO) != 0);
        assertEquals(0, writable & NbdProtocol.FLAG_READ_ONLY);
        int readOnly = frozen.transmissionFlags(false, HeaderStyle.SIMPLE, false);
        assertTrue((readOnly & NbdProtocol.FLAG_READ_ONLY) != 0);
        assertEquals(
                0,
                readOnly
                        & (NbdProtocol.FLAG_SEND_TRIM
                                | NbdProtocol.FLAG_CAN_MULTI_CONN
                                | NbdProtocol.FLAG_SEND_DF));
    }

    @Test
    @Shows({"extended.alone", "extended.go"})
    void extended_headers_need_no_structured_replies_and_lead_to_go() {
        State extended = ask(haggling(), new Option.ExtendedHeaders()).next();
        assertEquals(
                transmission(disk, HeaderStyle.EXTENDED),
                ask(extended, new Option.Go("disk", List.of())).next());
    }

    @Test
    @Shows({"extended.precedence", "extended.no-downgrade"})
    void extended_headers_take_precedence_over_structured_replies_in_either_order() {
        State both = ask(structured(), new Option.ExtendedHeaders()).next();
        Step again = ask(both, new Option.StructuredReply());
        assertRefused(NbdProtocol.REP_ERR_EXT_HEADER_REQD, again);
        assertEquals(
                transmission(disk, HeaderStyle.EXTENDED),
                ask(again.next(), new Option.Go("disk", List.of())).next());
        assertInstanceOf(Closed.class, ask(both, new Option.ExportName("disk")).next());
    }

    @Test
    void options_may_come_twice_and_contexts_survive_a_change_of_headers() {
        State chosen = ask(structured(), allocationOf("disk")).next();
        State again = ask(chosen, new Option.StructuredReply()).next();
        State extended = ask(again, new Option.ExtendedHeaders()).next();
        State twice = ask(extended, new Option.ExtendedHeaders()).next();
        assertEquals(
                transmission(
                        disk,
                        HeaderStyle.EXTENDED,
                        new ContextSelection.Selected(1, disk.contexts().getFirst())),
                ask(twice, new Option.Go("disk", List.of())).next());
    }

    @Test
    @Shows({"flags.payload", "flags.payload-contexts"})
    void the_payload_of_block_status_is_offered_with_extended_headers_and_contexts_alone() {
        int flag = NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD;
        assertEquals(0, disk.transmissionFlags(true, HeaderStyle.STRUCTURED, true) & flag);
        assertEquals(0, disk.transmissionFlags(true, HeaderStyle.EXTENDED, false) & flag);
        assertEquals(flag, disk.transmissionFlags(true, HeaderStyle.EXTENDED, true) & flag);
    }

    @Test
    @Shows({"list-context.wildcard", "context.wildcard-set"})
    void queries_match_a_name_or_all_that_begin_with_what_ends_in_a_colon() {
        Export rich = rich();
        Negotiation server = new Negotiation(Exports.of(rich), true);
        State extended = extended(server);
        List.of(
                        new Match("qemu:dirty-bitmap:", List.of(2, 3)),
                        new Match("qemu:", List.of(1, 2, 3)),
                        new Match("base:", List.of(0)),
                        new Match("qemu:dirty-bitmap:b", List.of(3)),
                        new Match("qemu:dirty-bitmap", List.of()),
                        new Match("qemu", List.of()),
                        new Match("", List.of()))
                .forEach(
                        match -> {
                            Step listed =
                                    server.step(
                                            extended,
                                            new Asked(
                                                    new Option.ListMetaContext(
                                                            "rich", List.of(match.query))));
                            assertEquals(match.names(rich), names(listed), match.query);
                            Step set =
                                    server.step(
                                            extended,
                                            new Asked(
                                                    new Option.SetMetaContext(
                                                            "rich", List.of(match.query))));
                            boolean exact = !match.query.endsWith(":");
                            assertEquals(
                                    exact ? match.names(rich) : List.of(), names(set), match.query);
                        });
    }

    @Test
    @Shows("set-context.wide")
    void a_context_that_needs_64_bits_is_for_clients_with_extended_headers() {
        Export wide = new Export("wide", disk.root()).withContext(new WideContext());
        Negotiation server = new Negotiation(Exports.of(wide), true);
        State compact =
                server.step(
                                server.step(server.start(), new ClientFlags(BOTH_FLAGS)).next(),
                                new Asked(new Option.StructuredReply()))
                        .next();
        Asked select =
                new Asked(
                        new Option.SetMetaContext("wide", List.of("base:allocation", "x-a:wide")));
        assertEquals(List.of("base:allocation"), names(server.step(compact, select)));
        assertEquals(
                List.of("base:allocation", "x-a:wide"),
                names(server.step(extended(server), select)));
        Asked listAll = new Asked(new Option.ListMetaContext("wide", List.of()));
        assertRefused(NbdProtocol.REP_ERR_EXT_HEADER_REQD, server.step(compact, listAll));
        Asked listBase = new Asked(new Option.ListMetaContext("wide", List.of("base:")));
        assertEquals(new OptionReply.Ack(), bodies(server.step(compact, listBase)).getLast());
        assertEquals(
                new OptionReply.Ack(), bodies(server.step(extended(server), listAll)).getLast());
    }

    @Test
    void a_server_that_closes_refuses_options_until_the_client_ends_the_session() {
        State leaving = negotiation.step(haggling(), new Negotiation.ServerCloses()).next();
        Step refused = ask(leaving, new Option.Go("disk", List.of()));
        assertRefused(NbdProtocol.REP_ERR_SHUTDOWN, refused);
        assertEquals(leaving, refused.next());
        assertInstanceOf(Closed.class, ask(leaving, new Option.ExportName("disk")).next());
        Step aborted = ask(leaving, new Option.Abort());
        assertEquals(List.of(new OptionReply.Ack()), bodies(aborted));
        assertInstanceOf(Closed.class, aborted.next());
        assertInstanceOf(
                Closed.class,
                negotiation.step(negotiation.start(), new Negotiation.ServerCloses()).next());
    }

    /// @param found indices in the export's contexts
    private record Match(String query, List<Integer> found) {
        List<String> names(Export export) {
            return found.stream().map(index -> export.contexts().get(index).name()).toList();
        }
    }

    private record WideContext() implements MetaContext {
        @Override
        public String name() {
            return "x-a:wide";
        }

        @Override
        public boolean isWide() {
            return true;
        }

        @Override
        public List<Status> statuses(long offset, long length) {
            return List.of(new Status(length, -1));
        }

        @Override
        public long mixed(long one, long other) {
            return one & other;
        }
    }

    private Export rich() {
        MarkedBytes none = MarkedBytes.of(new ClusterBitmap(1), 1 << 20);
        return new Export("rich", disk.root())
                .withContext(MetaContext.allocationDepth(disk.root()))
                .withContext(MetaContext.dirtyBitmap("a", none))
                .withContext(MetaContext.dirtyBitmap("b", none))
                .withContext(MetaContext.replication(none));
    }

    private static State extended(Negotiation server) {
        State haggling = server.step(server.start(), new ClientFlags(BOTH_FLAGS)).next();
        return server.step(haggling, new Asked(new Option.ExtendedHeaders())).next();
    }

    private static List<String> names(Step step) {
        return bodies(step).stream()
                .filter(OptionReply.MetaContext.class::isInstance)
                .map(reply -> ((OptionReply.MetaContext) reply).name())
                .toList();
    }

    @Test
    void nothing_leads_out_of_the_end() {
        Step step = ask(new Closed("over"), new Option.Go("disk", List.of()));
        assertEquals(new Closed("over"), step.next());
        assertEquals(List.of(), step.replies());
    }

    private State haggling() {
        return negotiation.step(negotiation.start(), new ClientFlags(BOTH_FLAGS)).next();
    }

    private State structured() {
        return ask(haggling(), new Option.StructuredReply()).next();
    }

    private Step ask(State state, Option option) {
        return negotiation.step(state, new Asked(option));
    }

    private static Transmission transmission(
            Export export, HeaderStyle style, ContextSelection.Selected... contexts) {
        return new Transmission(
                export,
                SIZE,
                export.transmissionFlags(true, style, contexts.length > 0),
                style,
                List.of(contexts));
    }

    private static Option allocationOf(String export) {
        return new Option.SetMetaContext(export, List.of("base:allocation"));
    }

    private static void assertRefused(int type, Step step) {
        OptionReply.Refusal refusal =
                assertInstanceOf(OptionReply.Refusal.class, bodies(step).getLast());
        assertEquals(type, refusal.type());
        assertFalse(refusal.message().isEmpty());
    }

    private static List<OptionReply> bodies(Step step) {
        return step.replies().stream().map(NegotiationTest::body).toList();
    }

    private static OptionReply body(Reply reply) {
        return assertInstanceOf(ToOption.class, reply).reply();
    }
}
