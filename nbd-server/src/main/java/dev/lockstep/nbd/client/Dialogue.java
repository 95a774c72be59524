package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.OptionReplyCodec;
import dev.lockstep.nbd.tls.ClientTls;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// The newstyle handshake from the greeting on: one option at a time and what the server says to
/// it.
final class Dialogue {
    /// More replies to one option than this serve no purpose: GO has four kinds of items.
    static final int REPLIES_MAX = 64;

    /// Longer data in one reply to an option serves no purpose: the longest is a description.
    private static final int REPLY_BYTES_MAX = 64 << 10;

    /// All replies to one option: 2,000 exports with names and descriptions of full length.
    private static final int ANSWER_BYTES_MAX = 16 << 20;

    private final int greeting;

    /// Whether requests follow from now on, and no options.
    private boolean ended;
    private Link link;
    private Input input;

    /// Reads the greeting and answers it.
    ///
    /// @throws ProtocolException if the other side does not speak the protocol
    Dialogue(Link link) throws IOException {
        this.link = link;
        this.input = new Input(link);
        this.greeting = readGreeting();
        send(
                ByteBuffer.allocate(4)
                        .putInt(
                                (isFixed() ? NbdProtocol.FLAG_C_FIXED_NEWSTYLE : 0)
                                        | (omitsZeroes() ? NbdProtocol.FLAG_C_NO_ZEROES : 0))
                        .flip());
    }

    private int readGreeting() throws IOException {
        ByteBuffer magics = input.need(16);
        long first = magics.getLong();
        long second = magics.getLong();
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

    /// Puts everything that follows through TLS if the options want that. What was agreed on before
    /// does not count any more.
    ///
    /// @throws BlockException if the server does not offer TLS and it must be
    void startTls(RemoteOptions options) throws IOException {
        ClientTls tls = options.tls();
        if (tls == null) {
            return;
        }
        boolean offered = isFixed() && isAccepted(new Option.StartTls());
        if (!offered && tls.required()) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "the server does not offer TLS; connect without it only if you trust the"
                            + " network");
        }
        if (!offered) {
            return;
        }
        if (!input.isEmpty()) {
            throw new ProtocolException("it sent something in the clear after it agreed to TLS");
        }
        link = Link.encrypted(link, tls.newEngine(options.address()));
        input = new Input(link);
    }

    /// Whether the server answers options that it does not know.
    boolean isFixed() {
        return (greeting & NbdProtocol.FLAG_FIXED_NEWSTYLE) != 0;
    }

    /// Whether no padding follows the answer to EXPORT_NAME.
    boolean omitsZeroes() {
        return (greeting & NbdProtocol.FLAG_NO_ZEROES) != 0;
    }

    Link link() {
        return link;
    }

    /// What the server has sent and nobody has consumed yet, and all that follows.
    Input input() {
        return input;
    }

    /// Agrees on the newest style of headers that both sides know, no newer than `newest`.
    HeaderStyle agreeOnHeaders(HeaderStyle newest) throws IOException {
        if (newest == HeaderStyle.EXTENDED && isAccepted(new Option.ExtendedHeaders())) {
            return HeaderStyle.EXTENDED;
        }
        return newest != HeaderStyle.SIMPLE && isAccepted(new Option.StructuredReply())
                ? HeaderStyle.STRUCTURED
                : HeaderStyle.SIMPLE;
    }

    private boolean isAccepted(Option option) throws IOException {
        return ask(option, REPLIES_MAX).getLast() instanceof OptionReply.Ack;
    }

    /// Sends an option and returns all that the server says to it; the last is an [OptionReply.Ack]
    /// or an [OptionReply.Refusal].
    ///
    /// @throws ProtocolException if there are more than `repliesMax`
    List<OptionReply> ask(Option option, int repliesMax) throws IOException {
        send(OptionCodec.encode(option));
        List<OptionReply> replies = new ArrayList<>();
        long bytes = 0;
        while (replies.size() < repliesMax && bytes <= ANSWER_BYTES_MAX) {
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
            bytes += NbdProtocol.OPTION_REPLY_HEADER_BYTES + length;
            OptionReply reply = OptionReplyCodec.decode(type, data((int) length));
            replies.add(reply);
            if (reply instanceof OptionReply.Refusal refusal
                    && refusal.type() == NbdProtocol.REP_ERR_SHUTDOWN) {
                throw refused(refusal, "");
            }
            if (reply.isLast()) {
                return replies;
            }
        }
        throw new ProtocolException(
                "more than %d replies or %d bytes in answer to an option"
                        .formatted(repliesMax, ANSWER_BYTES_MAX));
    }

    private ByteBuffer data(int length) throws IOException {
        ByteBuffer data = ByteBuffer.allocate(length);
        input.readInto(data);
        return data.flip();
    }

    /// Sends the bytes as they are.
    void send(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            link.write(bytes);
        }
    }

    /// Notes that the handshake is over and requests follow.
    void end() {
        ended = true;
    }

    /// Tells the server that nothing follows, if that is not understood as a request. It is not
    /// waited for the answer, which some servers do not give.
    void sayGoodbye() {
        if (ended || !isFixed()) {
            return;
        }
        try {
            send(OptionCodec.encode(new Option.Abort()));
            link.sayClosed();
        } catch (IOException _) {
            // Whoever has hung up needs no goodbye.
        }
    }

    /// Puts a refusal into words.
    ///
    /// @param export what the option was about
    static BlockException refused(OptionReply.Refusal refusal, String export) {
        String words = Incoming.printable(refusal.message());
        String why = words.isEmpty() ? "" : " (the server says: %s)".formatted(words);
        return switch (refusal.type()) {
            case NbdProtocol.REP_ERR_UNKNOWN ->
                    new BlockException(
                            Kind.INVALID, "the server has no export '%s'%s".formatted(export, why));
            case NbdProtocol.REP_ERR_POLICY ->
                    new BlockException(Kind.DENIED, "the server does not allow it" + why);
            case NbdProtocol.REP_ERR_TLS_REQD ->
                    new BlockException(
                            Kind.UNSUPPORTED,
                            "the server insists on TLS; use nbds:// with credentials" + why);
            case NbdProtocol.REP_ERR_SHUTDOWN ->
                    new BlockException(Kind.GONE, "the server is shutting down" + why);
            default ->
                    new BlockException(
                            Kind.INVALID,
                            "the server refuses the export '%s' with error %d%s"
                                    .formatted(
                                            export,
                                            refusal.type() & ~NbdProtocol.REP_FLAG_ERROR,
                                            why));
        };
    }
}
