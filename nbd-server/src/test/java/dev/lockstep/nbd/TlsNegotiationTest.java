package dev.lockstep.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Negotiation.Asked;
import dev.lockstep.nbd.Negotiation.ClientFlags;
import dev.lockstep.nbd.Negotiation.Closed;
import dev.lockstep.nbd.Negotiation.Haggling;
import dev.lockstep.nbd.Negotiation.StartingTls;
import dev.lockstep.nbd.Negotiation.State;
import dev.lockstep.nbd.Negotiation.Step;
import dev.lockstep.nbd.Negotiation.Tls;
import dev.lockstep.nbd.Negotiation.TlsBegun;
import dev.lockstep.nbd.Negotiation.ToOption;
import dev.lockstep.nbd.Negotiation.Transmission;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Set;

/// What is said of TLS during the handshake, without a socket.
class TlsNegotiationTest {
    private static final int ALL = NbdProtocol.FLAG_C_FIXED_NEWSTYLE | NbdProtocol.FLAG_C_NO_ZEROES;

    private final Export secret = new Export("secret", new MemoryDevice(4096)).withTlsOnly();
    private final Export open = new Export("open", new MemoryDevice(4096));

    /// Every option but STARTTLS and ABORT and EXPORT_NAME, unknown ones among them.
    private static final List<Option> OTHERS =
            List.of(
                    new Option.ListExports(),
                    new Option.ExportInfo("open", List.of()),
                    new Option.Go("open", List.of()),
                    new Option.Go("nothing", List.of()),
                    new Option.StructuredReply(),
                    new Option.ListMetaContext("open", List.of()),
                    new Option.SetMetaContext("open", List.of("base:allocation")),
                    new Option.Unknown(4711));

    @Test
    @Shows("forced.options")
    void a_server_that_requires_tls_speaks_of_nothing_else_before() {
        Negotiation forced = negotiation(Tls.REQUIRED);
        for (Option option : OTHERS) {
            assertRefused(NbdProtocol.REP_ERR_TLS_REQD, ask(forced, plain(forced), option), option);
        }
        Step abort = ask(forced, plain(forced), new Option.Abort());
        assertEquals(List.of(new ToOption(2, new OptionReply.Ack())), abort.replies());
    }

    @Test
    @Shows({"forced.export-name", "selective.export-name"})
    void export_name_before_tls_ends_the_session() {
        Negotiation forced = negotiation(Tls.REQUIRED);
        assertInstanceOf(
                Closed.class, ask(forced, plain(forced), new Option.ExportName("open")).next());
        Negotiation selective = negotiation(Tls.ALLOWED);
        assertInstanceOf(
                Closed.class,
                ask(selective, plain(selective), new Option.ExportName("secret")).next());
        assertInstanceOf(
                Transmission.class,
                ask(selective, plain(selective), new Option.ExportName("open")).next());
    }

    @Test
    @Shows({"forced.starttls", "forced.again", "forced.after"})
    void tls_begins_once_and_is_demanded_no_more() {
        for (Tls mode : List.of(Tls.REQUIRED, Tls.ALLOWED)) {
            Negotiation negotiation = negotiation(mode);
            Step consent = ask(negotiation, plain(negotiation), new Option.StartTls());
            assertEquals(List.of(new ToOption(5, new OptionReply.Ack())), consent.replies());
            State encrypted = encrypted(negotiation, plain(negotiation));
            assertRefused(
                    NbdProtocol.REP_ERR_INVALID,
                    ask(negotiation, encrypted, new Option.StartTls()),
                    new Option.StartTls());
            for (Option option : OTHERS) {
                for (Negotiation.Reply reply : ask(negotiation, encrypted, option).replies()) {
                    if (reply instanceof ToOption(int _, OptionReply.Refusal(int type, String _))) {
                        assertNotEquals(NbdProtocol.REP_ERR_TLS_REQD, type, option.toString());
                    }
                }
            }
        }
    }

    @Test
    @Shows("starttls.forgets")
    void nothing_that_was_agreed_on_before_tls_counts_after_it() {
        Negotiation negotiation = negotiation(Tls.ALLOWED);
        State agreed = ask(negotiation, plain(negotiation), new Option.StructuredReply()).next();
        agreed =
                ask(
                                negotiation,
                                agreed,
                                new Option.SetMetaContext("open", List.of("base:allocation")))
                        .next();
        State fresh = encrypted(negotiation, plain(negotiation));
        assertEquals(fresh, encrypted(negotiation, agreed));
        assertNotEquals(plain(negotiation), agreed);
    }

    @Test
    @Shows({"selective.only", "selective.others"})
    void a_server_with_an_export_for_tls_hides_that_one_and_what_is_not_there_alone() {
        Negotiation selective = negotiation(Tls.ALLOWED);
        State plain = plain(selective);
        for (String hidden : List.of("secret", "nothing")) {
            for (Option option :
                    List.of(
                            new Option.Go(hidden, List.of()),
                            new Option.ExportInfo(hidden, List.of()))) {
                assertRefused(NbdProtocol.REP_ERR_TLS_REQD, ask(selective, plain, option), option);
            }
        }
        assertInstanceOf(
                Transmission.class, ask(selective, plain, new Option.Go("open", List.of())).next());
        Step unknown = ask(selective, plain, new Option.Unknown(4711));
        assertRefused(NbdProtocol.REP_ERR_UNSUP, unknown, new Option.Unknown(4711));
        assertInstanceOf(
                Transmission.class,
                ask(selective, encrypted(selective, plain), new Option.Go("secret", List.of()))
                        .next());
    }

    @Test
    @Shows("tls.needs-fixed")
    void a_client_without_fixed_newstyle_gets_no_tls() {
        Negotiation negotiation = negotiation(Tls.ALLOWED);
        State old = negotiation.step(negotiation.start(), new ClientFlags(0)).next();
        Step step = ask(negotiation, old, new Option.StartTls());
        assertInstanceOf(Closed.class, step.next());
        assertEquals(List.of(), step.replies());
    }

    private Negotiation negotiation(Tls mode) {
        return new Negotiation(Exports.of(secret, open), true, Set.of(), mode);
    }

    private static State plain(Negotiation negotiation) {
        return negotiation.step(negotiation.start(), new ClientFlags(ALL)).next();
    }

    private static State encrypted(Negotiation negotiation, State before) {
        State starting = ask(negotiation, before, new Option.StartTls()).next();
        assertInstanceOf(StartingTls.class, starting);
        return assertInstanceOf(Haggling.class, negotiation.step(starting, new TlsBegun()).next());
    }

    private static Step ask(Negotiation negotiation, State state, Option option) {
        return negotiation.step(state, new Asked(option));
    }

    private static void assertRefused(int type, Step step, Option option) {
        ToOption last = assertInstanceOf(ToOption.class, step.replies().getLast());
        OptionReply.Refusal refusal =
                assertInstanceOf(OptionReply.Refusal.class, last.reply(), option.toString());
        assertEquals(type, refusal.type(), option.toString());
    }
}
