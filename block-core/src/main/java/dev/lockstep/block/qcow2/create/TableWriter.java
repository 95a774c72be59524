package dev.lockstep.block.qcow2.create;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;

/// Writes numbers one after the other, in large pieces.
final class TableWriter {
    /// Large enough that a request's fixed costs do not matter.
    private static final int PIECE_BYTES = 1 << 20;

    private final Gate file;
    private final ByteBuffer piece = ByteBuffer.allocateDirect(PIECE_BYTES);
    private long pieceOffset;

    TableWriter(Gate file, long offset) {
        this.file = file;
        this.pieceOffset = offset;
    }

    void put(long word) throws BlockException {
        if (piece.remaining() < Long.BYTES) {
            flush();
        }
        piece.putLong(word);
    }

    void put(ByteBuffer bytes) throws BlockException {
        if (piece.remaining() < bytes.remaining()) {
            flush();
        }
        if (bytes.remaining() > PIECE_BYTES) {
            int length = bytes.remaining();
            file.write(pieceOffset, bytes, WriteFlag.NONE);
            pieceOffset += length;
        } else {
            piece.put(bytes);
        }
    }

    /// Writes zeroes up to a position.
    void zeroTo(long offset) throws BlockException {
        long bytes = offset - pieceOffset - piece.position();
        if (bytes <= piece.remaining()) {
            piece.put(new byte[(int) bytes]);
        } else {
            flush();
            file.zero(pieceOffset, offset - pieceOffset, WriteFlag.NONE);
            pieceOffset = offset;
        }
    }

    void flush() throws BlockException {
        int length = piece.flip().remaining();
        file.write(pieceOffset, piece, WriteFlag.NONE);
        pieceOffset += length;
        piece.clear();
    }
}
