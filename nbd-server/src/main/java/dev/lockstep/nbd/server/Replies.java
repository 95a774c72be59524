package dev.lockstep.nbd.server;

import static dev.lockstep.nbd.NbdProtocol.OFFSET_DATA_BYTES;
import static dev.lockstep.nbd.NbdProtocol.OFFSET_HOLE_BYTES;
import static dev.lockstep.nbd.NbdProtocol.REPLY_FLAG_DONE;
import static dev.lockstep.nbd.NbdProtocol.REPLY_TYPE_ERROR;
import static dev.lockstep.nbd.NbdProtocol.REPLY_TYPE_NONE;
import static dev.lockstep.nbd.NbdProtocol.REPLY_TYPE_OFFSET_DATA;
import static dev.lockstep.nbd.NbdProtocol.REPLY_TYPE_OFFSET_HOLE;
import static dev.lockstep.nbd.NbdProtocol.SIMPLE_REPLY_BYTES;
import static dev.lockstep.nbd.NbdProtocol.SIMPLE_REPLY_MAGIC;
import static dev.lockstep.nbd.NbdProtocol.STRUCTURED_REPLY_BYTES;
import static dev.lockstep.nbd.NbdProtocol.STRUCTURED_REPLY_MAGIC;

import io.netty.buffer.ByteBuf;

import java.nio.charset.StandardCharsets;

/// The bytes of replies in the transmission phase.
final class Replies {
    /// What precedes the bytes read in a structured reply of one chunk.
    static final int DATA_HEADER_BYTES = STRUCTURED_REPLY_BYTES + OFFSET_DATA_BYTES;

    /// A hole of a structured reply.
    static final int HOLE_BYTES = STRUCTURED_REPLY_BYTES + OFFSET_HOLE_BYTES;

    /// The longest error message sent: enough for one sentence.
    private static final int MESSAGE_BYTES_MAX = 512;

    /// Room that any error reply fits into.
    static final int ERROR_BYTES_MAX = STRUCTURED_REPLY_BYTES + 4 + 2 + MESSAGE_BYTES_MAX;

    private Replies() {}

    /// What precedes the bytes read in a reply of one piece.
    static int readHeaderBytes(boolean structured) {
        return structured ? DATA_HEADER_BYTES : SIMPLE_REPLY_BYTES;
    }

    /// Puts a reply without data; `error` 0 is success.
    static void simple(ByteBuf out, int error, long cookie) {
        out.writeInt(SIMPLE_REPLY_MAGIC);
        out.writeInt(error);
        out.writeLong(cookie);
    }

    /// Puts what precedes the bytes read, in a reply of one piece.
    static void readHeader(ByteBuf out, boolean structured, long cookie, long offset, int length) {
        if (structured) {
            data(out, REPLY_FLAG_DONE, cookie, offset, length);
        } else {
            simple(out, 0, cookie);
        }
    }

    /// Puts what precedes `length` bytes in a chunk of data.
    static void data(ByteBuf out, int flags, long cookie, long offset, int length) {
        chunk(out, flags, REPLY_TYPE_OFFSET_DATA, cookie, OFFSET_DATA_BYTES + length);
        out.writeLong(offset);
    }

    /// Puts a chunk that stands for zeroes.
    static void hole(ByteBuf out, int flags, long cookie, long offset, int length) {
        chunk(out, flags, REPLY_TYPE_OFFSET_HOLE, cookie, OFFSET_HOLE_BYTES);
        out.writeLong(offset);
        out.writeInt(length);
    }

    /// Puts a structured reply that says only that all is well.
    static void none(ByteBuf out, long cookie) {
        chunk(out, REPLY_FLAG_DONE, REPLY_TYPE_NONE, cookie, 0);
    }

    /// Puts a refusal, in words too where the client understands chunks.
    static void error(ByteBuf out, boolean structured, long cookie, int error, String message) {
        if (!structured) {
            simple(out, error, cookie);
            return;
        }
        byte[] text = message.getBytes(StandardCharsets.UTF_8);
        int bytes = Math.min(text.length, MESSAGE_BYTES_MAX);
        chunk(out, REPLY_FLAG_DONE, REPLY_TYPE_ERROR, cookie, 4 + 2 + bytes);
        out.writeInt(error);
        out.writeShort(bytes);
        out.writeBytes(text, 0, bytes);
    }

    /// Puts the header of a chunk with `length` bytes after it.
    static void chunk(ByteBuf out, int flags, int type, long cookie, int length) {
        out.writeInt(STRUCTURED_REPLY_MAGIC);
        out.writeShort(flags);
        out.writeShort(type);
        out.writeLong(cookie);
        out.writeInt(length);
    }
}
