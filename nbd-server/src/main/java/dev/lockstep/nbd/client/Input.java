package dev.lockstep.nbd.client;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;

/// The bytes that come from the server, buffered. Used by one thread at a time.
final class Input {
    /// Holds the replies of 62 reads of 4 KiB, so that a full queue of them is one system call.
    private static final int BUFFER_BYTES = 256 << 10;

    /// From here on, a payload is read into its direct buffer without passing through ours.
    private static final int STRAIGHT_BYTES_MIN = 32 << 10;

    /// What is received with a header when payloads are long: what follows it in the same call
    /// would have to be copied to its place.
    private static final int HEADERS_BYTES = 4 << 10;

    private final ReadableByteChannel channel;

    /// Whether the last payload was long enough to be read straight. The next is taken to be like
    /// it.
    private boolean straight;

    /// Always ready to be read from: what lies between position and limit has not been consumed.
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES).limit(0);

    Input(ReadableByteChannel channel) {
        this.channel = channel;
    }

    /// Whether everything that was received has been consumed.
    boolean isEmpty() {
        return !buffer.hasRemaining();
    }

    /// Returns the buffer with at least `bytes` in it, which the caller consumes with relative
    /// gets.
    ///
    /// @throws EOFException if the server closed the connection before
    ByteBuffer need(int bytes) throws IOException {
        while (buffer.remaining() < bytes) {
            fill();
        }
        return buffer;
    }

    /// Fills the target's remaining bytes.
    void readInto(ByteBuffer target) throws IOException {
        straight = target.isDirect() && target.remaining() >= STRAIGHT_BYTES_MIN;
        while (target.hasRemaining()) {
            if (buffer.hasRemaining()) {
                int count = Math.min(buffer.remaining(), target.remaining());
                target.put(target.position(), buffer, buffer.position(), count);
                target.position(target.position() + count);
                buffer.position(buffer.position() + count);
            } else if (straight) {
                read(target);
            } else {
                fill();
            }
        }
    }

    /// Consumes and forgets bytes.
    void skip(long bytes) throws IOException {
        for (long left = bytes; left > 0; ) {
            need(1);
            int count = (int) Math.min(left, buffer.remaining());
            buffer.position(buffer.position() + count);
            left -= count;
        }
    }

    private void fill() throws IOException {
        buffer.compact();
        if (straight) {
            buffer.limit(Math.max(HEADERS_BYTES, buffer.position() + 1));
        }
        try {
            read(buffer);
        } finally {
            buffer.flip();
        }
    }

    private void read(ByteBuffer target) throws IOException {
        if (channel.read(target) < 0) {
            throw new EOFException("the server closed the connection");
        }
    }
}
