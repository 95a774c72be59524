package dev.lockstep.nbd.server;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.OptionReplyCodec;
import dev.lockstep.nbd.tls.TlsChannel;
import dev.lockstep.nbd.tls.TlsCredentials;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;

/// A client that sends exactly what a test says, right or wrong, and reads exactly what comes.
final class RawClient implements AutoCloseable {
    final SocketChannel socket;

    /// The socket, or what encrypts on its way there.
    private ByteChannel channel;

    /// What the greeting offered.
    int handshakeFlags;

    private RawClient(SocketChannel socket) {
        this.socket = socket;
        this.channel = socket;
    }

    /// Connects and reads the greeting.
    static RawClient connect(Address address) throws IOException {
        SocketChannel socket = address.openSocket();
        socket.connect(address.socketAddress());
        RawClient client = new RawClient(socket);
        ByteBuffer greeting = client.receive(NbdProtocol.GREETING_BYTES);
        if (greeting.getLong() != NbdProtocol.INIT_MAGIC
                || greeting.getLong() != NbdProtocol.OPTION_MAGIC) {
            throw new IOException("that is no greeting");
        }
        client.handshakeFlags = greeting.getShort();
        return client;
    }

    /// Connects and negotiates simple replies.
    static RawClient simple(Address address, String export) throws IOException {
        RawClient client = connect(address).flags(3);
        client.ask(new Option.Go(export, List.of()));
        return client;
    }

    /// Connects and negotiates chunks and `base:allocation`.
    static RawClient structured(Address address, String export) throws IOException {
        RawClient client = connect(address).flags(3);
        client.ask(new Option.StructuredReply());
        client.ask(new Option.SetMetaContext(export, List.of("base:allocation")));
        client.ask(new Option.Go(export, List.of()));
        return client;
    }

    /// Connects and negotiates extended headers and metadata contexts.
    static RawClient extended(Address address, String export, String... contexts)
            throws IOException {
        RawClient client = connect(address).flags(3);
        client.ask(new Option.ExtendedHeaders());
        client.ask(new Option.SetMetaContext(export, List.of(contexts)));
        client.ask(new Option.Go(export, List.of(NbdProtocol.INFO_BLOCK_SIZE)));
        return client;
    }

    /// Connects and begins TLS.
    static RawClient encrypted(Address address, TlsCredentials credentials) throws IOException {
        return connect(address).flags(3).startTls(credentials);
    }

    RawClient startTls(TlsCredentials credentials) throws IOException {
        List<OptionReply> replies = ask(new Option.StartTls());
        if (!(replies.getFirst() instanceof OptionReply.Ack)) {
            throw new IOException("STARTTLS: " + replies);
        }
        channel = TlsChannel.handshake(socket, credentials.newEngine("localhost"));
        return this;
    }

    RawClient flags(int flags) throws IOException {
        return send(ByteBuffer.allocate(4).putInt(flags).flip());
    }

    /// Sends an option and returns all of its replies.
    List<OptionReply> ask(Option option) throws IOException {
        send(OptionCodec.encode(option));
        return replies();
    }

    List<OptionReply> replies() throws IOException {
        List<OptionReply> replies = new ArrayList<>();
        do {
            ByteBuffer header = receive(NbdProtocol.OPTION_REPLY_HEADER_BYTES);
            header.position(12);
            int type = header.getInt();
            replies.add(OptionReplyCodec.decode(type, receive(header.getInt())));
        } while (!replies.getLast().isLast());
        return replies;
    }

    static ByteBuffer header(int flags, int type, long cookie, long offset, long length) {
        return ByteBuffer.allocate(NbdProtocol.REQUEST_BYTES)
                .putInt(NbdProtocol.REQUEST_MAGIC)
                .putShort((short) flags)
                .putShort((short) type)
                .putLong(cookie)
                .putLong(offset)
                .putInt((int) length)
                .flip();
    }

    static ByteBuffer extendedHeader(int flags, int type, long cookie, long offset, long length) {
        return ByteBuffer.allocate(NbdProtocol.EXTENDED_REQUEST_BYTES)
                .putInt(NbdProtocol.EXTENDED_REQUEST_MAGIC)
                .putShort((short) flags)
                .putShort((short) type)
                .putLong(cookie)
                .putLong(offset)
                .putLong(length)
                .flip();
    }

    RawClient request(int type, long cookie, long offset, long length) throws IOException {
        return send(header(0, type, cookie, offset, length));
    }

    RawClient write(long cookie, long offset, byte[] payload) throws IOException {
        request(NbdProtocol.CMD_WRITE, cookie, offset, payload.length);
        return send(ByteBuffer.wrap(payload));
    }

    RawClient send(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
        return this;
    }

    /// A simple reply.
    record Simple(int error, long cookie) {}

    Simple simpleReply() throws IOException {
        ByteBuffer header = receive(NbdProtocol.SIMPLE_REPLY_BYTES);
        if (header.getInt() != NbdProtocol.SIMPLE_REPLY_MAGIC) {
            throw new IOException("that is no simple reply");
        }
        return new Simple(header.getInt(), header.getLong());
    }

    /// A chunk of a structured reply.
    record Chunk(int flags, int type, long cookie, ByteBuffer payload) {
        boolean isLast() {
            return (flags & NbdProtocol.REPLY_FLAG_DONE) != 0;
        }
    }

    Chunk chunk() throws IOException {
        ByteBuffer header = receive(NbdProtocol.STRUCTURED_REPLY_BYTES);
        if (header.getInt() != NbdProtocol.STRUCTURED_REPLY_MAGIC) {
            throw new IOException("that is no chunk");
        }
        int flags = Short.toUnsignedInt(header.getShort());
        int type = Short.toUnsignedInt(header.getShort());
        long cookie = header.getLong();
        return new Chunk(flags, type, cookie, receive(header.getInt()));
    }

    /// A chunk of an extended reply.
    ///
    /// @param origin where the request began
    record ExtendedChunk(int flags, int type, long cookie, long origin, ByteBuffer payload) {
        boolean isLast() {
            return (flags & NbdProtocol.REPLY_FLAG_DONE) != 0;
        }

        /// The error of an error chunk.
        int error() {
            return payload.getInt(0);
        }
    }

    ExtendedChunk extendedChunk() throws IOException {
        ByteBuffer header = receive(NbdProtocol.EXTENDED_REPLY_BYTES);
        if (header.getInt() != NbdProtocol.EXTENDED_REPLY_MAGIC) {
            throw new IOException("that is no extended chunk");
        }
        int flags = Short.toUnsignedInt(header.getShort());
        int type = Short.toUnsignedInt(header.getShort());
        long cookie = header.getLong();
        long origin = header.getLong();
        return new ExtendedChunk(
                flags, type, cookie, origin, receive(Math.toIntExact(header.getLong())));
    }

    ByteBuffer receive(int bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(bytes);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer) < 0) {
                throw new EOFException(
                        "the server hung up after %d of %d bytes"
                                .formatted(buffer.position(), bytes));
            }
        }
        return buffer.flip();
    }

    /// Whether the server hangs up without another byte.
    boolean isHungUp() throws IOException {
        try {
            return channel.read(ByteBuffer.allocate(1)) < 0;
        } catch (IOException e) {
            return true; // reset: it hung up while we were still sending
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
