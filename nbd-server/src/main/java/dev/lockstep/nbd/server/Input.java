package dev.lockstep.nbd.server;

import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/// Where one connection's bytes are between the socket and the decoder: in a buffer of the loop
/// during a tick, and what was not decoded in one of its own until the next. Confined to the event
/// loop.
final class Input {
    private final Channel channel;
    private final LoopBuffers buffers;

    /// Bytes that were read and not decoded: the beginning of a request, or all of them while the
    /// connection waits.
    private @Nullable ByteBuf carry;

    /// What the socket was last read into; it begins with what was carried over.
    private @Nullable ByteBuf last;

    Input(Channel channel, LoopBuffers buffers) {
        this.channel = channel;
        this.buffers = buffers;
    }

    /// The buffer for the next read, retained for it.
    ///
    /// @param headersOnly a large payload is expected, which is to go to a buffer of its own
    ByteBuf next(boolean headersOnly) {
        ByteBuf left = carry;
        int kept = left == null ? 0 : left.readableBytes();
        ByteBuf input = bufferFor(kept, headersOnly);
        if (left != null) {
            input.writeBytes(left, left.readerIndex(), kept);
        }
        last = input;
        return input;
    }

    /// Returns everything that waits to be decoded, now that the socket has given `input`.
    ByteBuf received(ByteBuf input) {
        ByteBuf left = carry;
        if (left == null) {
            return input;
        }
        if (isSame(input, last)) {
            carry = null;
            left.release();
            return input;
        }
        return left.discardSomeReadBytes().writeBytes(input);
    }

    /// Keeps what was not decoded beyond this tick.
    void keep(ByteBuf input) {
        int left = input.readableBytes();
        if (left == 0) {
            drop();
            return;
        }
        if (!isSame(input, carry)) {
            carry = channel.alloc().directBuffer(left).writeBytes(input);
        }
        if (left > LoopBuffers.INPUT_BYTES / 2) {
            channel.config().setAutoRead(false);
        }
    }

    /// What was kept, or null.
    @Nullable ByteBuf kept() {
        return carry;
    }

    void drop() {
        ByteBuf left = carry;
        if (left != null) {
            carry = null;
            left.release();
        }
    }

    /// A part of `input` as a device takes it, valid until the next call.
    ByteBuffer view(ByteBuf input, int index, int length) {
        return isSame(input, buffers.input.bytes)
                ? buffers.input.view(index, length)
                : input.nioBuffer(index, length);
    }

    /// An empty buffer, retained, that holds what was kept and more. The largest is needed only
    /// where the peer has ended its stream while the connection waits: then its socket is read to
    /// the end.
    private ByteBuf bufferFor(int kept, boolean headersOnly) {
        if (kept > LoopBuffers.INPUT_BYTES / 2) {
            return channel.alloc().directBuffer(kept + LoopBuffers.INPUT_BYTES);
        }
        boolean small = headersOnly && kept < LoopBuffers.HEADER_INPUT_BYTES / 2;
        return (small ? buffers.headerInput : buffers.input).bytes.clear().retain();
    }

    /// Buffers are equal when their contents are; here the question is which one it is.
    @SuppressWarnings("ReferenceEquality")
    static boolean isSame(ByteBuf one, @Nullable ByteBuf other) {
        return one == other;
    }
}
