package dev.lockstep.nbd;

import dev.lockstep.nbd.Exports.Found;
import dev.lockstep.nbd.Exports.Refused;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// The server's side of the fixed newstyle handshake, as a table of states:
///
/// | state | what comes next | leads to |
/// |---|---|---|
/// | [AwaitingFlags] | the client's flags | [Haggling], or [Closed] if one is unknown |
/// | [Haggling] | any number of options | itself |
/// | | STARTTLS, once | [StartingTls] |
/// | | GO or EXPORT_NAME that is granted | [Transmission] |
/// | | ABORT; EXPORT_NAME that is refused | [Closed] |
/// | [StartingTls] | TLS is there | [Haggling], with nothing agreed on |
/// | [Transmission] | requests; the handshake is over | |
/// | [Closed] | nothing: the replies are sent, then the server hangs up | |
///
/// [#step] is a pure function but for the question put to [Exports]. It owns no socket, clock or
/// buffer.
///
/// @param exports answers which exports there are
/// @param manyConnections whether an export may be used by more than one connection at a time
/// @param degradations what this server does without
/// @param tls what is said of TLS
public record Negotiation(
        Exports exports, boolean manyConnections, Set<Degradation> degradations, Tls tls) {
    private static final int HANDSHAKE_FLAGS =
            NbdProtocol.FLAG_FIXED_NEWSTYLE | NbdProtocol.FLAG_NO_ZEROES;

    /// The number by which BLOCK_STATUS calls `base:allocation`.
    public static final int BASE_ALLOCATION_ID = 1;

    /// The specification's modes of TLS.
    public enum Tls {
        /// NOTLS: there is none.
        OFF,
        /// OPTIONALTLS, and SELECTIVETLS as soon as one of the exports needs TLS.
        ALLOWED,
        /// FORCEDTLS: nothing else is talked about before.
        REQUIRED
    }

    /// Where a handshake stands.
    public sealed interface State {}

    /// The greeting is sent; the client's flags are next.
    public record AwaitingFlags() implements State {}

    /// Options are exchanged.
    public record Haggling(Agreement agreed) implements State {}

    /// The consent to TLS is on its way: what the client sent before TLS does not count after it.
    public record StartingTls(boolean noZeroes) implements State {}

    /// The handshake is over, requests follow.
    ///
    /// @param export what the client uses
    /// @param structuredReplies answers are in chunks
    /// @param allocation BLOCK_STATUS may be asked, for `base:allocation`
    /// @param flags what the client was told it may do
    public record Transmission(
            Export export, boolean structuredReplies, boolean allocation, int flags)
            implements State {}

    /// The session is over.
    ///
    /// @param reason for the log
    public record Closed(String reason) implements State {}

    /// What both sides have agreed on so far.
    ///
    /// @param fixedNewstyle the client knows how to read errors
    /// @param tls everything goes through TLS
    /// @param noZeroes the padding after EXPORT_NAME is left out
    /// @param structuredReplies answers are in chunks
    /// @param allocationOf the export whose `base:allocation` the client selected, or null
    public record Agreement(
            boolean fixedNewstyle,
            boolean tls,
            boolean noZeroes,
            boolean structuredReplies,
            @Nullable String allocationOf) {

        Agreement withStructuredReplies() {
            return new Agreement(fixedNewstyle, tls, noZeroes, true, allocationOf);
        }

        Agreement withAllocationOf(@Nullable String export) {
            return new Agreement(fixedNewstyle, tls, noZeroes, structuredReplies, export);
        }
    }

    /// What a client can send during a handshake.
    public sealed interface Message {}

    /// The four bytes that follow the greeting.
    public record ClientFlags(int flags) implements Message {}

    /// The TLS that was to begin has begun, and the client is one that may come in.
    public record TlsBegun() implements Message {}

    /// One option.
    public record Asked(Option option) implements Message {}

    /// What a server can send back.
    public sealed interface Reply {}

    /// A reply to an option.
    public record ToOption(int code, OptionReply reply) implements Reply {}

    /// The bare answer to EXPORT_NAME.
    ///
    /// @param padded followed by [NbdProtocol#EXPORT_NAME_PADDING_BYTES] zeroes
    public record ToExportName(long size, int transmissionFlags, boolean padded) implements Reply {}

    /// The outcome of one step.
    ///
    /// @param next the state that follows
    /// @param replies to be sent, in this order
    public record Step(State next, List<Reply> replies) {}

    /// The whole of the protocol but TLS.
    public Negotiation(Exports exports, boolean manyConnections) {
        this(exports, manyConnections, Set.of(), Tls.OFF);
    }

    /// What the greeting offers.
    public int handshakeFlags() {
        return Degradation.handshakeFlags(degradations, HANDSHAKE_FLAGS);
    }

    /// Where every handshake begins.
    public State start() {
        return new AwaitingFlags();
    }

    /// Takes one message.
    public Step step(State state, Message message) {
        return switch (state) {
            case AwaitingFlags _ ->
                    message instanceof ClientFlags(int flags)
                            ? clientFlags(flags)
                            : closed("an option before the client's flags");
            case Haggling(Agreement agreed) ->
                    message instanceof Asked(Option option)
                            ? option(agreed, Degradation.understood(degradations, option))
                            : closed("the client's flags a second time");
            case StartingTls(boolean noZeroes) ->
                    message instanceof TlsBegun
                            ? new Step(
                                    new Haggling(new Agreement(true, true, noZeroes, false, null)),
                                    List.of())
                            : closed("an option between STARTTLS and TLS");
            case Transmission _ -> closed("an option after the handshake");
            case Closed _ -> new Step(state, List.of());
        };
    }

    /// The client's flags have the numbers of those that were offered.
    private Step clientFlags(int flags) {
        if ((flags & ~handshakeFlags()) != 0) {
            return closed("client flags 0x%x, which were not offered".formatted(flags));
        }
        return new Step(
                new Haggling(
                        new Agreement(
                                (flags & NbdProtocol.FLAG_C_FIXED_NEWSTYLE) != 0,
                                false,
                                (flags & NbdProtocol.FLAG_C_NO_ZEROES) != 0,
                                false,
                                null)),
                List.of());
    }

    private Step option(Agreement agreed, Option option) {
        if (!agreed.fixedNewstyle && option.code() != NbdProtocol.OPT_EXPORT_NAME) {
            return closed("an option that needs fixed newstyle, which the client did not set");
        }
        if (tls == Tls.REQUIRED && !agreed.tls && !precedesTls(option)) {
            return option.code() == NbdProtocol.OPT_EXPORT_NAME
                    ? closed("EXPORT_NAME before TLS")
                    : refuse(
                            agreed,
                            option.code(),
                            NbdProtocol.REP_ERR_TLS_REQD,
                            "this server speaks of nothing before STARTTLS");
        }
        return switch (option) {
            case Option.ExportName(String name) -> exportName(agreed, name);
            case Option.Abort abort ->
                    new Step(
                            new Closed("the client ended the session"),
                            List.of(new ToOption(abort.code(), new OptionReply.Ack())));
            case Option.ListExports list -> list(agreed, list.code());
            case Option.ExportInfo(String name, List<Integer> items) ->
                    info(agreed, option.code(), name, items);
            case Option.Go(String name, List<Integer> items) ->
                    info(agreed, option.code(), name, items);
            case Option.StructuredReply _ ->
                    stay(agreed.withStructuredReplies(), option.code(), new OptionReply.Ack());
            case Option.ListMetaContext(String export, List<String> queries) ->
                    listContexts(agreed, option.code(), export, queries);
            case Option.SetMetaContext(String export, List<String> queries) ->
                    setContexts(agreed.withAllocationOf(null), option.code(), export, queries);
            case Option.StartTls _ -> startTls(agreed, option.code());
            case Option.Unknown(int code) ->
                    refuse(
                            agreed,
                            code,
                            NbdProtocol.REP_ERR_UNSUP,
                            "option %s is not known here"
                                    .formatted(Integer.toUnsignedString(code)));
            case Option.Malformed(int code, int errorReply, String reason) ->
                    code == NbdProtocol.OPT_EXPORT_NAME
                            ? closed("EXPORT_NAME: " + reason)
                            : refuse(
                                    code == NbdProtocol.OPT_SET_META_CONTEXT
                                            ? agreed.withAllocationOf(null)
                                            : agreed,
                                    code,
                                    errorReply,
                                    reason);
        };
    }

    private static boolean precedesTls(Option option) {
        return option.code() == NbdProtocol.OPT_STARTTLS || option.code() == NbdProtocol.OPT_ABORT;
    }

    private Step startTls(Agreement agreed, int code) {
        if (agreed.tls) {
            return refuse(agreed, code, NbdProtocol.REP_ERR_INVALID, "TLS has begun already");
        }
        return tls == Tls.OFF
                ? refuse(agreed, code, NbdProtocol.REP_ERR_UNSUP, "this server speaks no TLS")
                : new Step(
                        new StartingTls(agreed.noZeroes),
                        List.of(new ToOption(code, new OptionReply.Ack())));
    }

    /// Finds an export, and in SELECTIVETLS hides from a client without TLS whether there is one
    /// that it could use with TLS.
    private Exports.Answer resolve(Agreement agreed, String name) {
        Exports.Answer answer = exports.resolve(name);
        boolean hidden =
                !agreed.tls
                        && (answer instanceof Found(Export export)
                                ? export.tlsOnly()
                                : exports.list().stream().anyMatch(Export::tlsOnly));
        if (!hidden) {
            return answer;
        }
        return tls == Tls.OFF
                ? new Refused("an export that needs TLS, which this server does not speak")
                : new Refused(NbdProtocol.REP_ERR_TLS_REQD, "begin TLS to learn of this export");
    }

    private Step exportName(Agreement agreed, String name) {
        return switch (resolve(agreed, name)) {
            case Refused(_, String reason) -> closed(reason);
            case Found(Export export) ->
                    new Step(
                            transmission(agreed, export, name),
                            List.of(
                                    new ToExportName(
                                            export.root().size(),
                                            flags(agreed, export),
                                            !agreed.noZeroes)));
        };
    }

    private Step list(Agreement agreed, int code) {
        List<OptionReply> replies = new ArrayList<>();
        for (Export export : exports.list()) {
            if (agreed.tls || !export.tlsOnly()) {
                replies.add(new OptionReply.Server(export.name(), export.description()));
            }
        }
        replies.add(new OptionReply.Ack());
        return stay(agreed, code, replies.toArray(OptionReply[]::new));
    }

    private Step info(Agreement agreed, int code, String name, List<Integer> items) {
        Export export;
        switch (resolve(agreed, name)) {
            case Refused(int errorReply, String reason) -> {
                return refuse(agreed, code, errorReply, reason);
            }
            case Found(Export found) -> export = found;
        }
        List<Reply> replies = new ArrayList<>();
        replies.add(
                new ToOption(
                        code,
                        new OptionReply.InfoExport(export.root().size(), flags(agreed, export))));
        if (items.contains(NbdProtocol.INFO_NAME)) {
            replies.add(new ToOption(code, new OptionReply.InfoName(export.name())));
        }
        if (items.contains(NbdProtocol.INFO_DESCRIPTION) && !export.description().isEmpty()) {
            replies.add(new ToOption(code, new OptionReply.InfoDescription(export.description())));
        }
        if (items.contains(NbdProtocol.INFO_BLOCK_SIZE)) {
            replies.add(
                    new ToOption(
                            code,
                            new OptionReply.InfoBlockSize(
                                    1,
                                    export.preferredBlockSize(),
                                    NbdProtocol.PAYLOAD_BYTES_MAX)));
        }
        replies.add(new ToOption(code, new OptionReply.Ack()));
        State next =
                code == NbdProtocol.OPT_GO
                        ? transmission(agreed, export, name)
                        : new Haggling(agreed);
        return new Step(next, List.copyOf(replies));
    }

    private Step listContexts(Agreement agreed, int code, String export, List<String> queries) {
        Step refused = refuseContexts(agreed, code, export);
        if (refused != null) {
            return refused;
        }
        boolean matches =
                queries.isEmpty()
                        || queries.contains(NbdProtocol.META_NAMESPACE_BASE)
                        || queries.contains(NbdProtocol.META_BASE_ALLOCATION);
        return contexts(agreed, code, matches ? 0 : null);
    }

    private Step setContexts(Agreement agreed, int code, String export, List<String> queries) {
        Step refused = refuseContexts(agreed, code, export);
        if (refused != null) {
            return refused;
        }
        return queries.contains(NbdProtocol.META_BASE_ALLOCATION)
                ? contexts(agreed.withAllocationOf(export), code, BASE_ALLOCATION_ID)
                : contexts(agreed, code, null);
    }

    private static Step contexts(Agreement agreed, int code, @Nullable Integer id) {
        OptionReply ack = new OptionReply.Ack();
        return id == null
                ? stay(agreed, code, ack)
                : stay(
                        agreed,
                        code,
                        new OptionReply.MetaContext(id, NbdProtocol.META_BASE_ALLOCATION),
                        ack);
    }

    private @Nullable Step refuseContexts(Agreement agreed, int code, String export) {
        if (!agreed.structuredReplies) {
            return refuse(
                    agreed,
                    code,
                    NbdProtocol.REP_ERR_INVALID,
                    "metadata contexts need structured replies, which were not agreed on");
        }
        return resolve(agreed, export) instanceof Refused(int errorReply, String reason)
                ? refuse(agreed, code, errorReply, reason)
                : null;
    }

    /// The contexts count only if they were chosen for the name that is used in the end.
    private Transmission transmission(Agreement agreed, Export export, String name) {
        return new Transmission(
                export,
                agreed.structuredReplies,
                name.equals(agreed.allocationOf),
                flags(agreed, export));
    }

    private int flags(Agreement agreed, Export export) {
        return Degradation.transmissionFlags(
                degradations, export.transmissionFlags(manyConnections, agreed.structuredReplies));
    }

    private static Step refuse(Agreement agreed, int code, int type, String reason) {
        return stay(agreed, code, new OptionReply.Refusal(type, reason));
    }

    private static Step stay(Agreement agreed, int code, OptionReply... replies) {
        List<Reply> toSend = new ArrayList<>();
        for (OptionReply reply : replies) {
            toSend.add(new ToOption(code, reply));
        }
        return new Step(new Haggling(agreed), List.copyOf(toSend));
    }

    private static Step closed(String reason) {
        return new Step(new Closed(reason), List.of());
    }
}
