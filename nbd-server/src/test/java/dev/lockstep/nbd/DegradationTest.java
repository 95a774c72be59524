package dev.lockstep.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Negotiation.Asked;
import dev.lockstep.nbd.Negotiation.ClientFlags;
import dev.lockstep.nbd.Negotiation.Closed;
import dev.lockstep.nbd.Negotiation.Reply;
import dev.lockstep.nbd.Negotiation.State;
import dev.lockstep.nbd.Negotiation.Step;
import dev.lockstep.nbd.Negotiation.ToOption;
import dev.lockstep.nbd.Negotiation.Transmission;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.List;
import java.util.Map;
import java.util.Set;

/// What a server leaves out is neither offered nor understood.
class DegradationTest {
    private static final List<String> ALLOCATION = List.of("base:allocation");

    private static final Map<Degradation, List<Option>> REFUSED =
            Map.of(
                    Degradation.NO_TLS,
                    List.of(new Option.StartTls()),
                    Degradation.NO_LIST,
                    List.of(new Option.ListExports()),
                    Degradation.NO_GO,
                    List.of(
                            new Option.Go("disk", List.of()),
                            new Option.ExportInfo("disk", List.of())),
                    Degradation.NO_STRUCTURED,
                    List.of(
                            new Option.StructuredReply(),
                            new Option.SetMetaContext("disk", ALLOCATION)),
                    Degradation.NO_CONTEXTS,
                    List.of(
                            new Option.ListMetaContext("disk", List.of()),
                            new Option.SetMetaContext("disk", ALLOCATION)));

    private static final Map<Degradation, Integer> TAKEN_AWAY =
            Map.of(
                    Degradation.NO_FLUSH, NbdProtocol.FLAG_SEND_FLUSH,
                    Degradation.NO_FUA, NbdProtocol.FLAG_SEND_FUA,
                    Degradation.NO_TRIM, NbdProtocol.FLAG_SEND_TRIM,
                    Degradation.NO_ZEROES,
                            NbdProtocol.FLAG_SEND_WRITE_ZEROES | NbdProtocol.FLAG_SEND_FAST_ZERO,
                    Degradation.NO_FAST_ZERO, NbdProtocol.FLAG_SEND_FAST_ZERO,
                    Degradation.NO_DF, NbdProtocol.FLAG_SEND_DF,
                    Degradation.NO_CACHE, NbdProtocol.FLAG_SEND_CACHE,
                    Degradation.NO_MULTI_CONN, NbdProtocol.FLAG_CAN_MULTI_CONN);

    private final Export disk = new Export("disk", new Gate(new MemoryDevice(1 << 20)));

    @Test
    void options_that_are_left_out_are_refused_as_unknown() {
        REFUSED.forEach(
                (degradation, options) -> {
                    Negotiation negotiation = without(degradation);
                    State haggling = structured(negotiation);
                    for (Option option : options) {
                        Step step = negotiation.step(haggling, new Asked(option));
                        OptionReply.Refusal refusal =
                                assertInstanceOf(
                                        OptionReply.Refusal.class,
                                        body(step.replies().getLast()),
                                        option.toString());
                        assertEquals(NbdProtocol.REP_ERR_UNSUP, refusal.type());
                    }
                });
    }

    @Test
    @Shows("flags.honest")
    void transmission_flags_that_are_left_out_are_not_offered() {
        TAKEN_AWAY.forEach(
                (degradation, flags) -> {
                    Negotiation negotiation = without(degradation);
                    Transmission agreed =
                            (Transmission)
                                    negotiation
                                            .step(
                                                    structured(negotiation),
                                                    new Asked(new Option.Go("disk", List.of())))
                                            .next();
                    assertEquals(
                            disk.transmissionFlags(true, HeaderStyle.STRUCTURED, false) & ~flags,
                            agreed.flags(),
                            degradation.toString());
                });
    }

    @Test
    @Shows("client-flags.unoffered")
    void without_fixed_newstyle_the_client_may_not_claim_to_know_it() {
        Negotiation negotiation = without(Degradation.NO_FIXED_NEWSTYLE);
        assertEquals(NbdProtocol.FLAG_NO_ZEROES, negotiation.handshakeFlags());
        assertInstanceOf(
                Closed.class, negotiation.step(negotiation.start(), new ClientFlags(1)).next());
        State plain = negotiation.step(negotiation.start(), new ClientFlags(0)).next();
        assertInstanceOf(
                Transmission.class,
                negotiation.step(plain, new Asked(new Option.ExportName("disk"))).next());
    }

    @Test
    void without_no_zeroes_the_padding_is_always_sent() {
        Negotiation negotiation = without(Degradation.NO_NO_ZEROES);
        assertEquals(NbdProtocol.FLAG_FIXED_NEWSTYLE, negotiation.handshakeFlags());
    }

    @Test
    void block_sizes_that_are_left_out_are_not_told_even_if_asked() {
        Negotiation negotiation = without(Degradation.NO_BLOCK_SIZE);
        Option asked = new Option.Go("disk", List.of(NbdProtocol.INFO_BLOCK_SIZE));
        Step step = negotiation.step(structured(negotiation), new Asked(asked));
        assertTrue(
                step.replies().stream()
                        .map(DegradationTest::body)
                        .noneMatch(OptionReply.InfoBlockSize.class::isInstance),
                step.toString());
    }

    @ParameterizedTest
    @EnumSource
    void each_has_a_name_that_is_read_back(Degradation degradation) {
        assertTrue(degradation.toString().matches("no-[a-z-]+"), degradation.toString());
        assertEquals(degradation, Degradation.parse(degradation.toString()));
    }

    @Test
    void a_name_that_is_none_is_answered_with_those_there_are() {
        var e = assertThrows(IllegalArgumentException.class, () -> Degradation.parse("no-sense"));
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains("no-structured, no-extended"), message);
    }

    private Negotiation without(Degradation degradation) {
        return new Negotiation(Exports.of(disk), true, Set.of(degradation), Negotiation.Tls.OFF);
    }

    private static State structured(Negotiation negotiation) {
        State haggling =
                negotiation
                        .step(
                                negotiation.start(),
                                new ClientFlags(NbdProtocol.FLAG_C_FIXED_NEWSTYLE))
                        .next();
        return negotiation.step(haggling, new Asked(new Option.StructuredReply())).next();
    }

    private static OptionReply body(Reply reply) {
        return assertInstanceOf(ToOption.class, reply).reply();
    }
}
