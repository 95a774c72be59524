package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;

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

    /// One reply to an option.
    private record Reply(int type, ByteBuffer data) {
        boolean isError() {
            return (type & NbdProtocol.REP_FLAG_ERROR) != 0;
        }
    }

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
    Export run() throws IOException {
        int greeting = greeting();
        boolean noZeroes = (greeting & NbdProtocol.FLAG_NO_ZEROES) != 0;
        boolean fixed = (greeting & NbdProtocol.FLAG_FIXED_NEWSTYLE) != 0;
        send(
                ByteBuffer.allocate(4)
                        .putInt(
                                (fixed ? NbdProtocol.FLAG_C_FIXED_NEWSTYLE : 0)
                                        | (noZeroes ? NbdProtocol.FLAG_C_NO_ZEROES : 0)));
        if (fixed) {
            structured = isAccepted(NbdProtocol.OPT_STRUCTURED_REPLY, ByteBuffer.allocate(0));
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
        byte[] export = name.getBytes(StandardCharsets.UTF_8);
        byte[] query = NbdProtocol.META_BASE_ALLOCATION.getBytes(StandardCharsets.UTF_8);
        sendOption(
                NbdProtocol.OPT_SET_META_CONTEXT,
                ByteBuffer.allocate(4 + export.length + 4 + 4 + query.length)
                        .putInt(export.length)
                        .put(export)
                        .putInt(1)
                        .putInt(query.length)
                        .put(query));
        for (int count = 0; count < REPLIES_MAX; count++) {
            Reply reply = reply(NbdProtocol.OPT_SET_META_CONTEXT);
            if (reply.isError() || reply.type() == NbdProtocol.REP_ACK) {
                return;
            }
            if (reply.type() != NbdProtocol.REP_META_CONTEXT || reply.data().remaining() < 4) {
                throw new ProtocolException("a malformed reply to SET_META_CONTEXT");
            }
            int id = reply.data().getInt();
            if (text(reply.data()).equals(NbdProtocol.META_BASE_ALLOCATION)) {
                allocationContext = id;
            }
        }
        throw tooManyReplies();
    }

    /// Chooses the export.
    ///
    /// @return false if the server does not know GO
    private boolean go() throws IOException {
        byte[] export = name.getBytes(StandardCharsets.UTF_8);
        sendOption(
                NbdProtocol.OPT_GO,
                ByteBuffer.allocate(4 + export.length + 2 + 2)
                        .putInt(export.length)
                        .put(export)
                        .putShort((short) 1)
                        .putShort((short) NbdProtocol.INFO_BLOCK_SIZE));
        for (int count = 0; count < REPLIES_MAX; count++) {
            Reply reply = reply(NbdProtocol.OPT_GO);
            if (reply.type() == NbdProtocol.REP_ERR_UNSUP) {
                return false;
            }
            if (reply.isError()) {
                throw refusal(reply);
            }
            if (reply.type() == NbdProtocol.REP_ACK) {
                return true;
            }
            if (reply.type() != NbdProtocol.REP_INFO || reply.data().remaining() < 2) {
                throw new ProtocolException("a malformed reply to GO");
            }
            info(reply.data());
        }
        throw tooManyReplies();
    }

    private void info(ByteBuffer data) throws ProtocolException {
        int type = data.getShort() & 0xffff;
        if (type == NbdProtocol.INFO_EXPORT && data.remaining() == 8 + 2) {
            size = data.getLong();
            flags = data.getShort() & 0xffff;
        } else if (type == NbdProtocol.INFO_BLOCK_SIZE && data.remaining() == 3 * 4) {
            blockSizes(data.getInt(), data.getInt(), data.getInt());
        } else if (type == NbdProtocol.INFO_EXPORT || type == NbdProtocol.INFO_BLOCK_SIZE) {
            throw new ProtocolException("a malformed item of information about the export");
        }
    }

    private void blockSizes(int minimum, int preferred, int maximum) throws ProtocolException {
        long max = Integer.toUnsignedLong(maximum);
        if (Integer.bitCount(minimum) != 1
                || minimum < 0
                || minimum > MINIMUM_BLOCK_MAX
                || Integer.bitCount(preferred) != 1
                || preferred < minimum
                || max < minimum) {
            throw new ProtocolException(
                    "block sizes of %d, %d and %d bytes".formatted(minimum, preferred, max));
        }
        minimumBlock = minimum;
        preferredBlock = preferred;
        long usable = Math.min(max, NbdProtocol.PAYLOAD_BYTES_MAX);
        payloadMax = (int) (usable - usable % minimum);
    }

    private void exportName(boolean noZeroes) throws IOException {
        sendOption(NbdProtocol.OPT_EXPORT_NAME, StandardCharsets.UTF_8.encode(name).compact());
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

    private Export checked() throws IOException {
        if (size < 0) {
            throw new ProtocolException("it never told the export's size, or one beyond 2^63");
        }
        if (size % minimumBlock != 0) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "the export's size of %d bytes is no multiple of the server's block size %d"
                            .formatted(size, minimumBlock));
        }
        return new Export(
                size,
                flags,
                minimumBlock,
                preferredBlock,
                payloadMax,
                structured,
                allocationContext);
    }

    private boolean isAccepted(int option, ByteBuffer data) throws IOException {
        sendOption(option, data);
        return reply(option).type() == NbdProtocol.REP_ACK;
    }

    /// Sends an option with the bytes that were put into `data`.
    private void sendOption(int option, ByteBuffer data) throws IOException {
        data.flip();
        send(
                ByteBuffer.allocate(NbdProtocol.OPTION_HEADER_BYTES + data.remaining())
                        .putLong(NbdProtocol.OPTION_MAGIC)
                        .putInt(option)
                        .putInt(data.remaining())
                        .put(data));
    }

    private void send(ByteBuffer filled) throws IOException {
        filled.flip();
        while (filled.hasRemaining()) {
            output.write(filled);
        }
    }

    private Reply reply(int option) throws IOException {
        ByteBuffer header = input.need(NbdProtocol.OPTION_REPLY_HEADER_BYTES);
        long magic = header.getLong();
        int answered = header.getInt();
        int type = header.getInt();
        long length = Integer.toUnsignedLong(header.getInt());
        if (magic != NbdProtocol.OPTION_REPLY_MAGIC || answered != option) {
            throw new ProtocolException("what came is no reply to option %d".formatted(option));
        }
        if (length > REPLY_BYTES_MAX) {
            throw new ProtocolException(
                    "a reply of %d bytes to option %d".formatted(length, option));
        }
        byte[] data = new byte[(int) length];
        input.readInto(ByteBuffer.wrap(data));
        return new Reply(type, ByteBuffer.wrap(data));
    }

    private BlockException refusal(Reply reply) {
        String words = text(reply.data());
        String why = words.isEmpty() ? "" : " (the server says: %s)".formatted(words);
        return switch (reply.type()) {
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
                                            name, reply.type() & ~NbdProtocol.REP_FLAG_ERROR, why));
        };
    }

    private static String text(ByteBuffer data) {
        byte[] bytes = new byte[data.remaining()];
        data.get(bytes);
        return Incoming.printable(bytes);
    }

    private static ProtocolException tooManyReplies() {
        return new ProtocolException("more than %d replies to an option".formatted(REPLIES_MAX));
    }
}
