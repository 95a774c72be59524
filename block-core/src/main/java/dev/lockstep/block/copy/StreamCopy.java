package dev.lockstep.block.copy;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.copy.Walk.Piece;
import dev.lockstep.block.graph.Gate;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.util.concurrent.atomic.AtomicLong;

/// Copies from and to what has no positions: a pipe, a socket, a terminal. One thread, one request
/// at a time, in order.
public final class StreamCopy {
    private final CopyOptions options;
    private final ByteBuffer buffer;
    private final AtomicLong done = new AtomicLong();

    /// A copy, for one of the calls.
    public StreamCopy(CopyOptions options) {
        this.options = options;
        this.buffer = ByteBuffer.allocateDirect(options.requestBytes());
    }

    /// How many bytes are dealt with.
    public long doneBytes() {
        return done.get();
    }

    /// Copies a stream until it ends.
    ///
    /// @return how many bytes it had
    public long read(ReadableByteChannel stream, Sink target) throws IOException {
        SparseSink sparse = new SparseSink(target, options.allocate() ? 0 : options.sparseBytes());
        while (fill(stream)) {
            int length = buffer.limit();
            sparse.put(done.get(), buffer);
            done.addAndGet(length);
        }
        return done.get();
    }

    /// Copies the first `length` bytes of a device to a stream.
    public void write(Gate source, long length, WritableByteChannel stream) throws IOException {
        Walk walk = new Walk(source, length, options);
        for (Piece piece = walk.next(); piece != null; piece = walk.next()) {
            if (piece.zero()) {
                writeZeroes(piece.length(), stream);
            } else {
                read(source, piece);
                drain(stream);
            }
            done.addAndGet(piece.length());
        }
    }

    private void read(Gate source, Piece piece) throws BlockException {
        source.read(piece.offset(), buffer.clear().limit((int) piece.length()));
        buffer.flip();
    }

    private void writeZeroes(long length, WritableByteChannel stream) throws IOException {
        buffer.clear();
        while (buffer.hasRemaining()) {
            buffer.put((byte) 0);
        }
        for (long rest = length; rest > 0; rest -= buffer.limit()) {
            buffer.clear().limit((int) Math.min(buffer.capacity(), rest));
            drain(stream);
        }
    }

    private void drain(WritableByteChannel stream) throws IOException {
        while (buffer.hasRemaining()) {
            stream.write(buffer);
        }
    }

    /// Fills the buffer, less only at the end of the stream; a pipe gives what it has.
    private boolean fill(ReadableByteChannel stream) throws IOException {
        buffer.clear();
        while (buffer.hasRemaining() && stream.read(buffer) >= 0) {
            // Everything is in the condition.
        }
        return buffer.flip().hasRemaining();
    }
}
