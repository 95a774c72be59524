package dev.lockstep.it;

import dev.lockstep.nbd.Address;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/// A connection that does what its owner says and nothing else: no window, no checks. After the
/// shortest handshake, EXPORT_NAME, every reply is a simple one.
final class RawNbd implements AutoCloseable {
    static final int READ = 0;
    static final int WRITE = 1;

    private static final long OPTION_MAGIC = 0x49484156454F5054L;
    private static final int EXPORT_NAME = 1;
    private static final int FIXED_NEWSTYLE_NO_ZEROES = 3;
    private static final int REQUEST_MAGIC = 0x25609513;
    private static final int REQUEST_BYTES = 28;
    private static final int REPLY_BYTES = 16;

    private final SocketChannel socket;
    private final ByteBuffer reply = ByteBuffer.allocateDirect(REPLY_BYTES);

    private RawNbd(SocketChannel socket) {
        this.socket = socket;
    }

    static RawNbd connect(Address address, String export) throws IOException {
        SocketChannel socket = address.openSocket();
        socket.connect(address.socketAddress());
        RawNbd connection = new RawNbd(socket);
        connection.receive(ByteBuffer.allocate(18));
        byte[] name = export.getBytes(StandardCharsets.UTF_8);
        connection.send(
                ByteBuffer.allocate(20 + name.length)
                        .putInt(FIXED_NEWSTYLE_NO_ZEROES)
                        .putLong(OPTION_MAGIC)
                        .putInt(EXPORT_NAME)
                        .putInt(name.length)
                        .put(name)
                        .flip());
        connection.receive(ByteBuffer.allocate(10));
        return connection;
    }

    /// A request's header; a write's payload is up to the caller.
    static ByteBuffer request(int command, long offset, int length) {
        return ByteBuffer.allocateDirect(REQUEST_BYTES)
                .putInt(REQUEST_MAGIC)
                .putShort((short) 0)
                .putShort((short) command)
                .putLong(offset)
                .putLong(offset)
                .putInt(length)
                .flip();
    }

    void send(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            socket.write(bytes);
        }
    }

    /// Reads one reply, with its payload if it is a read's.
    void awaitReply(ByteBuffer payload) throws IOException {
        receive(reply.clear());
        int error = reply.getInt(4);
        if (error != 0) {
            throw new IOException("the server answered with error " + error);
        }
        receive(payload);
    }

    private void receive(ByteBuffer target) throws IOException {
        while (target.hasRemaining()) {
            if (socket.read(target) < 0) {
                throw new EOFException("the server hung up");
            }
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
