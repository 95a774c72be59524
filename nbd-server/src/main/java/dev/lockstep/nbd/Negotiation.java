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
/// | | the server's end | [Leaving] |
/// | [Leaving] | any number of options, which are refused | itself |
/// | | ABORT | [Closed] |
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
    /// @param size what it was told the export's size is
    /// @param flags what it was told it may do
    /// @param style how requests and replies are framed
    /// @param contexts what BLOCK_STATUS tells; with none, it may not be asked
    public record Transmission(
            Export export,
            long size,
            int flags,
            HeaderStyle style,
            List<ContextSelection.Selected> contexts)
            implements State {}

    /// The server is closing: options are refused until the client leaves or its time is up.
    public record Leaving() implements State {}

    /// The session is over.
    ///
    /// @param reason for the log
    public record Closed(String reason) implements State {}

    /// What both sides have agreed on so far.
    ///
    /// @param fixedNewstyle the client knows how to read errors
    /// @param tls everything goes through TLS
    /// @param noZeroes the padding after EXPORT_NAME is left out
    /// @param style how requests and replies will be framed
    /// @param contexts what the client selected last
    /// @param blockSizesOf the export whose block sizes the client has learned, or null
    public record Agreement(
            boolean fixedNewstyle,
            boolean tls,
            boolean noZeroes,
            HeaderStyle style,
            ContextSelection contexts,
            @Nullable String blockSizesOf) {

        /// TLS has begun: nothing but the client's flags counts any more.
        static Agreement behindTls(boolean noZeroes) {
            return new Agreement(
                    true, true, noZeroes, HeaderStyle.SIMPLE, ContextSelection.NONE, null);
        }

        Agreement withStyle(HeaderStyle agreed) {
            return new Agreement(fixedNewstyle, tls, noZeroes, agreed, contexts, blockSizesOf);
        }

        Agreement withContexts(ContextSelection selected) {
            return new Agreement(fixedNewstyle, tls, noZeroes, style, selected, blockSizesOf);
        }

        Agreement withBlockSizesOf(String export) {
            return new Agreement(fixedNewstyle, tls, noZeroes, style, contexts, export);
        }
    }

    /// What a client can send during a handshake.
    public sealed interface Message {}

    /// The four bytes that follow the greeting.
    public record ClientFlags(int flags) implements Message {}

    /// The TLS that was to begin has begun, and the client is one that may come in.
    public record TlsBegun() implements Message {}

    /// The server closes.
    public record ServerCloses() implements Message {}

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
        if (message instanceof ServerCloses) {
            return state instanceof Haggling
                    ? new Step(new Leaving(), List.of())
                    : closed("the server closes");
        }
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
                            ? new Step(new Haggling(Agreement.behindTls(noZeroes)), List.of())
                            : closed("an option between STARTTLS and TLS");
            case Leaving _ ->
                    message instanceof Asked(Option option)
                            ? leaving(option)
                            : closed("the client's flags a second time");
            case Transmission _ -> closed("an option after the handshake");
            case Closed _ -> new Step(state, List.of());
        };
    }

    private static Step leaving(Option option) {
        return switch (option.code()) {
            case NbdProtocol.OPT_EXPORT_NAME -> closed("EXPORT_NAME while the server closes");
            case NbdProtocol.OPT_ABORT -> abort();
            default ->
                    reply(
                            new Leaving(),
                            option.code(),
                            List.of(
                                    new OptionReply.Refusal(
                                            NbdProtocol.REP_ERR_SHUTDOWN,
                                            "the server is closing")));
        };
    }

    private static Step abort() {
        return new Step(
                new Closed("the client ended the session"),
                List.of(new ToOption(NbdProtocol.OPT_ABORT, new OptionReply.Ack())));
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
                                HeaderStyle.SIMPLE,
                                ContextSelection.NONE,
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
            case Option.Abort _ -> abort();
            case Option.ListExports list -> list(agreed, list.code());
            case Option.ExportInfo(String name, List<Integer> items) ->
                    info(agreed, option.code(), name, items);
            case Option.Go(String name, List<Integer> items) ->
                    info(agreed, option.code(), name, items);
            case Option.StructuredReply _ -> structuredReply(agreed, option.code());
            case Option.ExtendedHeaders _ ->
                    stay(
                            agreed.withStyle(HeaderStyle.EXTENDED),
                            option.code(),
                            new OptionReply.Ack());
            case Option.ListMetaContext(String export, List<String> queries) ->
                    listContexts(agreed, option.code(), export, queries);
            case Option.SetMetaContext(String export, List<String> queries) ->
                    setContexts(
                            agreed.withContexts(ContextSelection.NONE),
                            option.code(),
                            export,
                            queries);
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
                                            ? agreed.withContexts(ContextSelection.NONE)
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

    private static Step structuredReply(Agreement agreed, int code) {
        return agreed.style == HeaderStyle.EXTENDED
                ? refuse(
                        agreed,
                        code,
                        NbdProtocol.REP_ERR_EXT_HEADER_REQD,
                        "extended headers were agreed on, which include structured replies")
                : stay(agreed.withStyle(HeaderStyle.STRUCTURED), code, new OptionReply.Ack());
    }

    private Step exportName(Agreement agreed, String name) {
        if (agreed.style == HeaderStyle.EXTENDED) {
            return closed("EXPORT_NAME after extended headers");
        }
        return switch (resolve(agreed, name)) {
            case Refused(_, String reason) -> closed(reason);
            case Found(Export export) when lacksBlockSizes(agreed, export, name) ->
                    closed("EXPORT_NAME for an export with a minimum block size");
            case Found(Export export) -> {
                Transmission next = transmission(agreed, export, name, false);
                yield new Step(
                        next, List.of(new ToExportName(next.size, next.flags, !agreed.noZeroes)));
            }
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
        return reply(new Haggling(agreed), code, replies);
    }

    private Step info(Agreement agreed, int code, String name, List<Integer> items) {
        Export export;
        switch (resolve(agreed, name)) {
            case Refused(int errorReply, String reason) -> {
                return refuse(agreed, code, errorReply, reason);
            }
            case Found(Export found) -> export = found;
        }
        Agreement after =
                items.contains(NbdProtocol.INFO_BLOCK_SIZE)
                        ? agreed.withBlockSizesOf(name)
                        : agreed;
        if (lacksBlockSizes(after, export, name)) {
            return refuse(
                    after,
                    code,
                    NbdProtocol.REP_ERR_BLOCK_SIZE_REQD,
                    "requests to this export are multiples of %d bytes: ask for its block sizes"
                            .formatted(export.minimumBlockSize()));
        }
        boolean asking = code == NbdProtocol.OPT_INFO;
        Transmission granted = transmission(after, export, name, asking);
        List<OptionReply> replies = new ArrayList<>();
        replies.add(new OptionReply.InfoExport(granted.size, granted.flags));
        if (items.contains(NbdProtocol.INFO_NAME)) {
            replies.add(new OptionReply.InfoName(export.name()));
        }
        if (items.contains(NbdProtocol.INFO_DESCRIPTION) && !export.description().isEmpty()) {
            replies.add(new OptionReply.InfoDescription(export.description()));
        }
        if (items.contains(NbdProtocol.INFO_BLOCK_SIZE)) {
            replies.add(
                    new OptionReply.InfoBlockSize(
                            export.minimumBlockSize(),
                            export.preferredBlockSize(),
                            NbdProtocol.PAYLOAD_BYTES_MAX));
        }
        replies.add(new OptionReply.Ack());
        State next = code == NbdProtocol.OPT_GO ? granted : new Haggling(after);
        return reply(next, code, replies);
    }

    /// A minimum block size other than the default binds only clients that know it.
    private static boolean lacksBlockSizes(Agreement agreed, Export export, String name) {
        return export.minimumBlockSize() > 1 && !name.equals(agreed.blockSizesOf);
    }

    private Step listContexts(Agreement agreed, int code, String name, List<String> queries) {
        return switch (exportForContexts(agreed, name)) {
            case Refused(int errorReply, String reason) -> refuse(agreed, code, errorReply, reason);
            case Found(Export export) ->
                    reply(
                            new Haggling(agreed),
                            code,
                            ContextSelection.listing(export, agreed.style, queries));
        };
    }

    private Step setContexts(Agreement agreed, int code, String name, List<String> queries) {
        return switch (exportForContexts(agreed, name)) {
            case Refused(int errorReply, String reason) -> refuse(agreed, code, errorReply, reason);
            case Found(Export export) -> {
                ContextSelection selection =
                        ContextSelection.of(name, export, agreed.style, queries);
                yield reply(
                        new Haggling(agreed.withContexts(selection)), code, selection.replies());
            }
        };
    }

    private Exports.Answer exportForContexts(Agreement agreed, String name) {
        return agreed.style.chunks()
                ? resolve(agreed, name)
                : new Refused(
                        NbdProtocol.REP_ERR_INVALID,
                        "metadata contexts need structured replies, which were not agreed on");
    }

    /// @param asking whether contexts may still be chosen, whose flag is told as if they were
    private Transmission transmission(
            Agreement agreed, Export export, String name, boolean asking) {
        var contexts = agreed.contexts.forUse(name, export);
        boolean chosen = asking || !contexts.isEmpty();
        int flags = export.transmissionFlags(manyConnections, agreed.style, chosen);
        return new Transmission(
                export,
                export.size(),
                Degradation.transmissionFlags(degradations, flags),
                agreed.style,
                contexts);
    }

    private static Step refuse(Agreement agreed, int code, int type, String reason) {
        return stay(agreed, code, new OptionReply.Refusal(type, reason));
    }

    private static Step stay(Agreement agreed, int code, OptionReply reply) {
        return reply(new Haggling(agreed), code, List.of(reply));
    }

    private static Step reply(State next, int code, List<OptionReply> replies) {
        List<Reply> toSend = new ArrayList<>();
        for (OptionReply reply : replies) {
            toSend.add(new ToOption(code, reply));
        }
        return new Step(next, List.copyOf(toSend));
    }

    private static Step closed(String reason) {
        return new Step(new Closed(reason), List.of());
    }
}
