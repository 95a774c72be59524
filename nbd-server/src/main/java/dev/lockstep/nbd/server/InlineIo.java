package dev.lockstep.nbd.server;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.server.LoopBuffers.Shared;

import io.netty.buffer.ByteBuf;

import java.nio.ByteBuffer;

/// The reads and writes of one connection that its event loop carries out itself, because the
/// device need not wait for them. Confined to that loop.
///
/// A large read is done in pieces, each in the loop's own buffer, which stays in the core's cache
/// on the way from the device to the socket. What the device does not do at once is left, and the
/// header then says what remains. A write is done in one piece, once its payload is whole: of a
/// write that is cut off nothing reaches the device.
final class InlineIo {
    /// The most that is done in one piece, about 50 us of copying: whole pages that fill a buffer
    /// of the loop but for the page with the headers.
    static final int PIECE_BYTES = LoopBuffers.REPLY_BYTES - 4096;

    /// The largest write that is tried, the most that a file writes at once.
    private static final int WRITE_BYTES_MAX = 64 << 10;

    /// What one connection may do on the event loop before the others have their turn, the piece
    /// that goes beyond it included.
    private static final int BYTES_PER_TICK = 256 << 10;

    /// What became of a piece.
    enum Outcome {
        /// It is done, and the header says what remains.
        DONE,
        /// A write needs more bytes from the socket.
        LACKS_BYTES,
        /// The device would have to wait, or cannot tell.
        DECLINED
    }

    private final Gate gate;
    private final boolean structured;
    private final Input input;
    private final Outbox outbox;
    private final LoopBuffers loop;
    private int bytesOfTick;

    InlineIo(Gate gate, boolean structured, Input input, Outbox outbox, LoopBuffers loop) {
        this.gate = gate;
        this.structured = structured;
        this.input = input;
        this.outbox = outbox;
        this.loop = loop;
    }

    void tickEnds() {
        bytesOfTick = 0;
    }

    boolean isTickSpent() {
        return bytesOfTick >= BYTES_PER_TICK;
    }

    /// Reads one piece straight behind the header of its reply.
    Outcome read(RequestHeader header) throws BlockException {
        if (header.length == 0) {
            outbox.nothing(structured, header.cookie);
            return Outcome.DONE;
        }
        boolean whole = header.length <= PIECE_BYTES;
        if (!whole && (!structured || header.wantsOneChunk())) {
            return Outcome.DECLINED;
        }
        int length = (int) Math.min(header.length, PIECE_BYTES);
        int headerBytes = Replies.readHeaderBytes(structured);
        Shared replies = outbox.room(headerBytes + length);
        ByteBuf out = replies.bytes;
        int at = out.writerIndex() + headerBytes;
        if (!gate.readNow(header.offset, replies.view(at, length))) {
            return Outcome.DECLINED;
        }
        if (length >= ZeroRuns.PIECE_BYTES
                && structured
                && !header.wantsOneChunk()
                && ZeroRuns.has(out, at, length)) {
            return Outcome.DECLINED;
        }
        if (structured) {
            int flags = whole ? NbdProtocol.REPLY_FLAG_DONE : 0;
            Replies.data(out, flags, header.cookie, header.offset, length);
        } else {
            Replies.simple(out, 0, header.cookie);
        }
        out.writerIndex(at + length);
        advance(header, length);
        return Outcome.DONE;
    }

    /// Whether the payload of the request goes to a buffer of its own.
    boolean spares(RequestHeader header) {
        return header.type == NbdProtocol.CMD_WRITE && header.length > WRITE_BYTES_MAX;
    }

    /// Writes straight from what the socket gave.
    Outcome write(RequestHeader header, ByteBuf bytes) throws BlockException {
        int length = (int) header.length;
        if (spares(header)) {
            return Outcome.DECLINED;
        }
        if (bytes.readableBytes() < length) {
            return Outcome.LACKS_BYTES;
        }
        if (length > 0) {
            ByteBuffer source = input.view(bytes, bytes.readerIndex(), length);
            if (header.isFua() || !gate.writeNow(header.offset, source)) {
                return Outcome.DECLINED;
            }
            bytes.skipBytes(length);
            advance(header, length);
        }
        outbox.success(header.cookie);
        return Outcome.DONE;
    }

    private void advance(RequestHeader header, int length) {
        header.offset += length;
        header.length -= length;
        bytesOfTick += length;
        loop.countRequest();
    }
}
