package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.OptionReplyCodec;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.List;

/// The client's side of the newstyle handshake, from the greeting to the first request.
///
/// It asks for what makes the session better and goes on without whatever is refused: structured
/// replies, then `base:allocation`, then the export by GO, or by EXPORT_NAME from a server that is
/// too old for GO.
final class Handshake {
    /// Longer data in one reply to an option serves no purpose: the longest is a description.
    private static final int REPLY_BYTES_MAX = 64 << 10;

    /// More replies to one option than this serve no purpose: GO has four kinds of items.
    private static final int REPLIES_MAX = 64;

    /// The largest block size that the protocol allows a server to demand.
    private static final int MINIMUM_BLOCK_MAX = 64 << 10;

    private static final int PREFERRED_BLOCK_DEFAULT = 4096;

    private final Input input;
    private final WritableByteChannel output;
    private final String name;

    /// What the server has said so far.
    private boolean structured;

    private @Nullable Integer allocationContext;
    private long size = -1;
    private int flags;
    private int minimumBlock = 1;
    private int preferredBlock = PREFERRED_BLOCK_DEFAULT;
    private int payloadMax = NbdProtocol.PAYLOAD_BYTES_MAX;

    Handshake(Input input, WritableByteChannel output, String name) {
        this.input = input;
        this.output = output;
        this.name = name;
    }

    /// Negotiates and enters transmission.
    ///
    /// @throws BlockException if the server refuses, with its reason
    /// @throws ProtocolException if it does not speak the protocol
    RemoteExport run() throws IOException {
        int greeting = greeting();
        boolean noZeroes = (greeting & NbdProtocol.FLAG_NO_ZEROES) != 0;
        boolean fixed = (greeting & NbdProtocol.FLAG_FIXED_NEWSTYLE) != 0;
        send(
                ByteBuffer.allocate(4)
                        .putInt(
                                (fixed ? NbdProtocol.FLAG_C_FIXED_NEWSTYLE : 0)
                                        | (noZeroes ? NbdProtocol.FLAG_C_NO_ZEROES : 0))
                        .flip());
        if (fixed) {
            structured = isAccepted(new Option.StructuredReply());
            if (structured) {
                chooseContext();
            }
        }
        if (!fixed || !go()) {
            exportName(noZeroes);
        }
        return checked();
    }

    private int greeting() throws IOException {
        ByteBuffer greeting = input.need(16);
        long first = greeting.getLong();
        long second = greeting.getLong();
        if (first != NbdProtocol.INIT_MAGIC) {
            throw new ProtocolException("this is no NBD server");
        }
        if (second == NbdProtocol.OLDSTYLE_MAGIC) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "the server speaks the oldstyle handshake, which is obsolete");
        }
        if (second != NbdProtocol.OPTION_MAGIC) {
            throw new ProtocolException("its greeting is malformed");
        }
        return input.need(2).getShort() & 0xffff;
    }

    /// Asks for `base:allocation`; a server without it is asked for nothing else.
    private void chooseContext() throws IOException {
        Option option = new Option.SetMetaContext(name, List.of(NbdProtocol.META_BASE_ALLOCATION));
        send(OptionCodec.encode(option));
        for (int count = 0; count < REPLIES_MAX; count++) {
            OptionReply reply = reply(option);
            if (reply.isLast()) {
                return;
            }
            if (reply instanceof OptionReply.MetaContext(int id, String context)
                    && context.equals(NbdProtocol.META_BASE_ALLOCATION)) {
                allocationContext = id;
            }
        }
        throw tooManyReplies();
    }

    /// Chooses the export.
    ///
    /// @return false if the server does not know GO
    private boolean go() throws IOException {
        Option option = new Option.Go(name, List.of(NbdProtocol.INFO_BLOCK_SIZE));
        send(OptionCodec.encode(option));
        for (int count = 0; count < REPLIES_MAX; count++) {
            switch (reply(option)) {
                case OptionReply.Ack _ -> {
                    return true;
                }
                case OptionReply.Refusal refusal -> {
                    if (refusal.type() == NbdProtocol.REP_ERR_UNSUP) {
                        return false;
                    }
                    throw refused(refusal);
                }
                case OptionReply.InfoExport(long bytes, int transmissionFlags) -> {
                    size = bytes;
                    flags = transmissionFlags;
                }
                case OptionReply.InfoBlockSize sizes -> blockSizes(sizes);
                case OptionReply.InfoName _,
                        OptionReply.InfoDescription _,
                        OptionReply.MetaContext _,
                        OptionReply.Server _,
                        OptionReply.Unknown _ -> {}
            }
        }
        throw tooManyReplies();
    }

    private void blockSizes(OptionReply.InfoBlockSize sizes) throws ProtocolException {
        int minimum = sizes.minimum();
        if (Integer.bitCount(minimum) != 1
                || minimum < 0
                || minimum > MINIMUM_BLOCK_MAX
                || Integer.bitCount(sizes.preferred()) != 1
                || sizes.preferred() < minimum
                || sizes.maximum() < minimum) {
            throw new ProtocolException("block sizes that make no sense: " + sizes);
        }
        minimumBlock = minimum;
        preferredBlock = sizes.preferred();
        long usable = Math.min(sizes.maximum(), NbdProtocol.PAYLOAD_BYTES_MAX);
        payloadMax = (int) (usable - usable % minimum);
    }

    private void exportName(boolean noZeroes) throws IOException {
        send(OptionCodec.encode(new Option.ExportName(name)));
        ByteBuffer answer;
        try {
            answer = input.need(8 + 2);
        } catch (IOException e) {
            throw new BlockException(Kind.INVALID, "the server hung up on this export's name", e);
        }
        size = answer.getLong();
        flags = answer.getShort() & 0xffff;
        input.skip(noZeroes ? 0 : NbdProtocol.EXPORT_NAME_PADDING_BYTES);
    }

    private RemoteExport checked() throws IOException {
        if (size < 0) {
            throw new ProtocolException("it never told the export's size, or one beyond 2^63");
        }
        if (size % minimumBlock != 0) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "the export's size of %d bytes is no multiple of the server's block size %d"
                            .formatted(size, minimumBlock));
        }
        return new RemoteExport(
                size,
                flags,
                minimumBlock,
                preferredBlock,
                payloadMax,
                structured,
                allocationContext);
    }

    private boolean isAccepted(Option option) throws IOException {
        send(OptionCodec.encode(option));
        return reply(option) instanceof OptionReply.Ack;
    }

    private void send(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            output.write(bytes);
        }
    }

    private OptionReply reply(Option option) throws IOException {
        ByteBuffer header = input.need(NbdProtocol.OPTION_REPLY_HEADER_BYTES);
        long magic = header.getLong();
        int answered = header.getInt();
        int type = header.getInt();
        long length = Integer.toUnsignedLong(header.getInt());
        if (magic != NbdProtocol.OPTION_REPLY_MAGIC || answered != option.code()) {
            throw new ProtocolException("what came is no reply to %s".formatted(option));
        }
        if (length > REPLY_BYTES_MAX) {
            throw new ProtocolException("a reply of %d bytes to %s".formatted(length, option));
        }
        byte[] data = new byte[(int) length];
        input.readInto(ByteBuffer.wrap(data));
        return OptionReplyCodec.decode(type, ByteBuffer.wrap(data));
    }

    private BlockException refused(OptionReply.Refusal refusal) {
        String words = Incoming.printable(refusal.message());
        String why = words.isEmpty() ? "" : " (the server says: %s)".formatted(words);
        return switch (refusal.type()) {
            case NbdProtocol.REP_ERR_UNKNOWN ->
                    new BlockException(
                            Kind.INVALID, "the server has no export '%s'%s".formatted(name, why));
            case NbdProtocol.REP_ERR_POLICY ->
                    new BlockException(Kind.DENIED, "the server does not allow it" + why);
            case NbdProtocol.REP_ERR_TLS_REQD ->
                    new BlockException(
                            Kind.UNSUPPORTED, "the server insists on TLS, not supported yet" + why);
            case NbdProtocol.REP_ERR_SHUTDOWN ->
                    new BlockException(Kind.GONE, "the server is shutting down" + why);
            default ->
                    new BlockException(
                            Kind.INVALID,
                            "the server refuses the export '%s' with error %d%s"
                                    .formatted(
                                            name,
                                            refusal.type() & ~NbdProtocol.REP_FLAG_ERROR,
                                            why));
        };
    }

    private static ProtocolException tooManyReplies() {
        return new ProtocolException("more than %d replies to an option".formatted(REPLIES_MAX));
    }
}
