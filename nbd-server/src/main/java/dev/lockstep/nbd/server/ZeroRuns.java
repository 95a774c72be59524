package dev.lockstep.nbd.server;

import dev.lockstep.nbd.NbdProtocol;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.CompositeByteBuf;
import io.netty.buffer.Unpooled;

import java.nio.ByteBuffer;

/// Finds zeroes in what was read, and replies with holes in their place.
///
/// Looking at the bytes is cheaper than asking the device for its extents beforehand: where there
/// are data, the first few bytes of a piece tell, while a file system may walk through all of its
/// map (tmpfs does). It finds zeroes that were written, too.
final class ZeroRuns {
    /// A hole is a multiple of this in a read: large enough that its header is nothing beside the
    /// bytes saved, and that a reply has few chunks.
    static final int PIECE_BYTES = 64 << 10;

    private static final ByteBuffer ZEROES =
            ByteBuffer.allocateDirect(PIECE_BYTES).asReadOnlyBuffer();

    private ZeroRuns() {}

    /// Whether any whole piece of the bytes read holds only zeroes.
    static boolean has(ByteBuf read, int at, int length) {
        int end = at + length;
        for (int piece = at; piece < end; piece += PIECE_BYTES) {
            if (isZero(read, piece, end)) {
                return true;
            }
        }
        return false;
    }

    /// Makes the whole reply of a read.
    ///
    /// @param read the bytes read, after room for one header; it becomes a part of the result
    static ByteBuf reply(Replies replies, Request request, ByteBuf read) {
        int at = replies.readHeaderBytes;
        int end = at + (int) request.length;
        int runEnd = runEnd(read, at, end);
        boolean zero = isZero(read, at, end);
        if (runEnd == end && !zero) {
            put(replies, request, read.clear(), false, at, end);
            return read.writerIndex(end);
        }
        CompositeByteBuf reply = new CompositeByteBuf(ByteBufAllocator.DEFAULT, true, 1024);
        for (int run = at; run < end; run = runEnd, runEnd = runEnd(read, run, end)) {
            zero = isZero(read, run, end);
            ByteBuf header = Unpooled.directBuffer(replies.holeBytes());
            put(replies, request, header, zero, run, runEnd);
            reply.addComponent(true, header);
            if (!zero) {
                reply.addComponent(true, read.retainedSlice(run, runEnd - run));
            }
        }
        read.release();
        return reply;
    }

    /// Puts the chunk of the bytes from index `from` to before `to`, but for data themselves.
    private static void put(
            Replies replies, Request request, ByteBuf out, boolean zero, int from, int to) {
        int at = replies.readHeaderBytes;
        int flags = to == at + request.length ? NbdProtocol.REPLY_FLAG_DONE : 0;
        long offset = request.offset + (from - at);
        if (zero) {
            replies.hole(out, flags, request.cookie, request.origin, offset, to - from);
        } else {
            replies.data(out, flags, request.cookie, request.origin, offset, to - from);
        }
    }

    /// Where the pieces from `at` on cease to be alike.
    private static int runEnd(ByteBuf read, int at, int end) {
        boolean zero = isZero(read, at, end);
        int next = at + PIECE_BYTES;
        while (next < end && isZero(read, next, end) == zero) {
            next += PIECE_BYTES;
        }
        return Math.min(next, end);
    }

    /// Whether the piece at `at` is whole and holds only zeroes.
    private static boolean isZero(ByteBuf read, int at, int end) {
        return end - at >= PIECE_BYTES
                && read.getLong(at) == 0
                && read.nioBuffer(at, PIECE_BYTES).mismatch(ZEROES.duplicate()) < 0;
    }
}
