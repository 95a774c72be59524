package dev.lockstep.nbd.server;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.server.LoopBuffers.Shared;

import io.netty.buffer.ByteBuf;

/// The reads and writes of one connection that its event loop carries out itself, because the
/// device need not wait for them. Confined to that loop.
///
/// A large one is done in pieces, each in the loop's own buffer, which stays in the core's cache
/// from the device to the socket or back: that costs half of what a buffer as large as the request
/// does. What the device does not do at once is left, and the header then says what remains. So of
/// a write that is cut off its first pages may have reached the device, as of any write that was
/// not acknowledged.
final class InlineIo {
    /// The most that is done in one piece, about 25 us of copying: whole pages that fill a buffer
    /// of the loop but for the page with the headers.
    static final int PIECE_BYTES = LoopBuffers.REPLY_BYTES - 4096;

    /// A piece of a write is at least this much, or all that remains: less would cost more calls
    /// than waiting for the socket to give more.
    private static final int WRITE_PIECE_BYTES_MIN = 64 << 10;

    /// A piece of a write that is not the last ends with a page, since a device takes whole pages.
    private static final int PAGE_MASK = 4096 - 1;

    /// A large write that is declined has been copied once too often; so these many that follow it
    /// are not tried.
    private static final int LARGE_WRITES_SPARED = 16;

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
    private final Replies replies;
    private final Input input;
    private final Outbox outbox;
    private final LoopBuffers loop;
    private final Turns.Player player;
    private int bytesOfTurn;
    private int largeWritesSpared;

    InlineIo(
            Gate gate,
            Replies replies,
            Input input,
            Outbox outbox,
            LoopBuffers loop,
            Turns.Player player) {
        this.gate = gate;
        this.replies = replies;
        this.input = input;
        this.outbox = outbox;
        this.loop = loop;
        this.player = player;
    }

    /// @param idle whether all that was asked for is done
    void turnEnds(boolean idle) {
        bytesOfTurn = 0;
        loop.turns.ended(player, idle);
    }

    boolean isTurnSpent() {
        return loop.turns.isSpent(player, bytesOfTurn);
    }

    /// Reads one piece straight behind the header of its reply.
    Outcome read(RequestHeader header) throws BlockException {
        if (header.length == 0) {
            outbox.nothing(header.cookie, header.origin);
            return Outcome.DONE;
        }
        boolean inPieces = replies.chunked && !header.wantsOneChunk();
        if (!inPieces && header.length > PIECE_BYTES) {
            return Outcome.DECLINED;
        }
        int pieceBytes = inPieces ? loop.turns.pieceBytes(player) : PIECE_BYTES;
        int length = (int) Math.min(header.length, pieceBytes);
        int headerBytes = replies.readHeaderBytes;
        Shared room = outbox.room(headerBytes + length);
        ByteBuf out = room.bytes;
        int at = out.writerIndex() + headerBytes;
        if (!gate.readNow(header.offset, room.view(at, length))) {
            return Outcome.DECLINED;
        }
        if (length >= ZeroRuns.PIECE_BYTES && inPieces && ZeroRuns.has(out, at, length)) {
            return Outcome.DECLINED;
        }
        int flags = length == header.length ? NbdProtocol.REPLY_FLAG_DONE : 0;
        replies.data(out, flags, header.cookie, header.origin, header.offset, length);
        out.writerIndex(at + length);
        advance(header, length);
        return Outcome.DONE;
    }

    /// Whether the payload of the request goes to a buffer of its own.
    boolean spares(RequestHeader header) {
        return header.type == NbdProtocol.CMD_WRITE
                && header.length > PIECE_BYTES
                && (header.isFua() || largeWritesSpared > 0);
    }

    /// Writes one piece straight from what the socket gave, and replies after the last.
    Outcome write(RequestHeader header, ByteBuf bytes) throws BlockException {
        if (header.length == 0) {
            outbox.success(header.cookie, header.origin);
            return Outcome.DONE;
        }
        if (header.isFua()) {
            return Outcome.DECLINED;
        }
        if (spares(header)) {
            largeWritesSpared--;
            return Outcome.DECLINED;
        }
        int length = (int) Math.min(header.length, Math.min(bytes.readableBytes(), PIECE_BYTES));
        if (length < header.length) {
            length -= (int) (header.offset + length) & PAGE_MASK;
            if (length < WRITE_PIECE_BYTES_MIN) {
                return Outcome.LACKS_BYTES;
            }
        }
        if (!gate.writeNow(header.offset, input.view(bytes, bytes.readerIndex(), length))) {
            if (header.length > PIECE_BYTES) {
                largeWritesSpared = LARGE_WRITES_SPARED;
            }
            return Outcome.DECLINED;
        }
        bytes.skipBytes(length);
        advance(header, length);
        if (header.length == 0) {
            outbox.success(header.cookie, header.origin);
        }
        return Outcome.DONE;
    }

    private void advance(RequestHeader header, int length) {
        header.offset += length;
        header.length -= length;
        bytesOfTurn += length;
        loop.countRequest();
    }
}
