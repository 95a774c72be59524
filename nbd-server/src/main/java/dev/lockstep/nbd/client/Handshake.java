package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.OptionReply;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// Asks a server about one export, in order to use it or only to know.
///
/// To use it, it asks for what makes the session better and goes on without whatever is refused:
/// headers, metadata contexts, then the export by GO, or by EXPORT_NAME from a server that is too
/// old for GO.
final class Handshake {
    /// The largest block size that the protocol allows a server to demand.
    private static final int MINIMUM_BLOCK_MAX = 64 << 10;

    /// A server may have a context for each bitmap of an image: qcow2 allows 65,535.
    private static final int CONTEXTS_MAX = 1 << 17;

    private static final List<Integer> ITEMS =
            List.of(
                    NbdProtocol.INFO_BLOCK_SIZE,
                    NbdProtocol.INFO_NAME,
                    NbdProtocol.INFO_DESCRIPTION);

    private final Dialogue dialogue;
    private final HeaderStyle headers;
    private final String export;

    /// What the server has said so far.
    private String name;

    private String description = "";
    private List<OptionReply.MetaContext> contexts = List.of();
    private long size = -1;
    private int flags;
    private OptionReply.@Nullable InfoBlockSize blockSizes;

    /// @param headers what was agreed on
    private Handshake(Dialogue dialogue, HeaderStyle headers, String export) {
        this.dialogue = dialogue;
        this.headers = headers;
        this.export = export;
        this.name = export;
    }

    /// Negotiates and enters transmission.
    ///
    /// @throws BlockException if the server refuses, with its reason
    /// @throws ProtocolException if it does not speak the protocol
    static RemoteExport enter(Dialogue dialogue, RemoteOptions options) throws IOException {
        HeaderStyle headers =
                dialogue.isFixed()
                        ? dialogue.agreeOnHeaders(options.headers())
                        : HeaderStyle.SIMPLE;
        Handshake handshake = new Handshake(dialogue, headers, options.export());
        if (headers != HeaderStyle.SIMPLE) {
            handshake.chooseContexts(options.contexts());
        }
        if (!dialogue.isFixed() || !handshake.isTold(new Option.Go(options.export(), ITEMS))) {
            handshake.exportName();
        }
        dialogue.end();
        return handshake.checked();
    }

    /// Asks and stays in the handshake. The contexts are all that the export has, without numbers.
    ///
    /// @throws BlockException if the server refuses, with its reason
    static RemoteExport ask(Dialogue dialogue, HeaderStyle headers, String export)
            throws IOException {
        Handshake handshake = new Handshake(dialogue, headers, export);
        if (!handshake.isTold(new Option.ExportInfo(export, ITEMS))) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "the server cannot be asked about an export without using it");
        }
        handshake.contexts = listContexts(dialogue, export, List.of());
        return handshake.checked();
    }

    /// Enters transmission after questions, without metadata contexts.
    ///
    /// @throws BlockException if the server refuses, with its reason
    static RemoteExport use(Dialogue dialogue, HeaderStyle headers, String export)
            throws IOException {
        Handshake handshake = new Handshake(dialogue, headers, export);
        if (!handshake.isTold(new Option.Go(export, ITEMS))) {
            handshake.exportName();
        }
        dialogue.end();
        return handshake.checked();
    }

    /// Returns the contexts that match the queries, all without queries; none from a server that
    /// has none or does not tell.
    static List<OptionReply.MetaContext> listContexts(
            Dialogue dialogue, String export, List<String> queries) throws IOException {
        return contexts(
                dialogue.ask(new Option.ListMetaContext(export, queries), CONTEXTS_MAX).stream());
    }

    private static List<OptionReply.MetaContext> contexts(Stream<OptionReply> replies) {
        return replies.<OptionReply.MetaContext>mapMulti(
                        (reply, sink) -> {
                            if (reply instanceof OptionReply.MetaContext context) {
                                sink.accept(context);
                            }
                        })
                .toList();
    }

    /// Asks for `base:allocation` and what the user wants; only exact names, so that what comes
    /// back was asked for.
    private void chooseContexts(List<String> wanted) throws IOException {
        List<String> queries = new ArrayList<>(wanted);
        if (!queries.contains(NbdProtocol.META_BASE_ALLOCATION)) {
            queries.addFirst(NbdProtocol.META_BASE_ALLOCATION);
        }
        List<OptionReply> replies =
                dialogue.ask(new Option.SetMetaContext(export, queries), Dialogue.REPLIES_MAX);
        if (replies.getLast() instanceof OptionReply.Ack) {
            contexts =
                    contexts(replies.stream()).stream()
                            .filter(context -> queries.contains(context.name()))
                            .toList();
        }
    }

    /// Sends GO or INFO and keeps what is told.
    ///
    /// @return false if the server does not know the option
    private boolean isTold(Option option) throws IOException {
        for (OptionReply reply : dialogue.ask(option, Dialogue.REPLIES_MAX)) {
            switch (reply) {
                case OptionReply.Refusal refusal -> {
                    if (refusal.type() == NbdProtocol.REP_ERR_UNSUP) {
                        return false;
                    }
                    throw Dialogue.refused(refusal, export);
                }
                case OptionReply.InfoExport(long bytes, int transmissionFlags) -> {
                    size = bytes;
                    flags = transmissionFlags;
                }
                case OptionReply.InfoBlockSize sizes -> blockSizes = checked(sizes);
                case OptionReply.InfoName(String canonical) -> name = canonical;
                case OptionReply.InfoDescription(String words) -> description = words;
                case OptionReply.Ack _,
                        OptionReply.MetaContext _,
                        OptionReply.Server _,
                        OptionReply.Unknown _ -> {}
            }
        }
        return true;
    }

    private static OptionReply.InfoBlockSize checked(OptionReply.InfoBlockSize sizes)
            throws ProtocolException {
        int minimum = sizes.minimum();
        if (Integer.bitCount(minimum) != 1
                || minimum < 0
                || minimum > MINIMUM_BLOCK_MAX
                || Integer.bitCount(sizes.preferred()) != 1
                || sizes.preferred() < minimum
                || sizes.maximum() < minimum) {
            throw new ProtocolException("block sizes that make no sense: " + sizes);
        }
        return sizes;
    }

    private void exportName() throws IOException {
        if (headers == HeaderStyle.EXTENDED) {
            throw new ProtocolException("it knows extended headers but not GO");
        }
        dialogue.send(OptionCodec.encode(new Option.ExportName(export)));
        dialogue.end();
        Input input = dialogue.input();
        ByteBuffer answer;
        try {
            answer = input.need(8 + 2);
        } catch (IOException e) {
            throw new BlockException(Kind.INVALID, "the server hung up on this export's name", e);
        }
        size = answer.getLong();
        flags = answer.getShort() & 0xffff;
        input.skip(dialogue.omitsZeroes() ? 0 : NbdProtocol.EXPORT_NAME_PADDING_BYTES);
    }

    private RemoteExport checked() throws IOException {
        if (size < 0) {
            throw new ProtocolException("it never told the export's size, or one beyond 2^63");
        }
        RemoteExport told =
                new RemoteExport(name, description, size, flags, blockSizes, headers, contexts);
        if (size % told.minimumBlock() != 0) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "the export's size of %d bytes is no multiple of the server's block size %d"
                            .formatted(size, told.minimumBlock()));
        }
        return told;
    }
}
