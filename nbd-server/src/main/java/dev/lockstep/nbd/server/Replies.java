package dev.lockstep.nbd.server;

import static dev.lockstep.nbd.NbdProtocol.EXTENDED_REPLY_BYTES;
import static dev.lockstep.nbd.NbdProtocol.EXTENDED_REPLY_MAGIC;
import static dev.lockstep.nbd.NbdProtocol.OFFSET_DATA_BYTES;
import static dev.lockstep.nbd.NbdProtocol.OFFSET_HOLE_BYTES;
import static dev.lockstep.nbd.NbdProtocol.REPLY_FLAG_DONE;
import static dev.lockstep.nbd.NbdProtocol.REPLY_TYPE_ERROR;
import static dev.lockstep.nbd.NbdProtocol.REPLY_TYPE_ERROR_OFFSET;
import static dev.lockstep.nbd.NbdProtocol.REPLY_TYPE_NONE;
import static dev.lockstep.nbd.NbdProtocol.REPLY_TYPE_OFFSET_DATA;
import static dev.lockstep.nbd.NbdProtocol.REPLY_TYPE_OFFSET_HOLE;
import static dev.lockstep.nbd.NbdProtocol.SIMPLE_REPLY_BYTES;
import static dev.lockstep.nbd.NbdProtocol.SIMPLE_REPLY_MAGIC;
import static dev.lockstep.nbd.NbdProtocol.STRUCTURED_REPLY_BYTES;
import static dev.lockstep.nbd.NbdProtocol.STRUCTURED_REPLY_MAGIC;

import dev.lockstep.nbd.HeaderStyle;

import io.netty.buffer.ByteBuf;

import java.nio.charset.StandardCharsets;

/// The bytes of replies in the transmission phase of one connection, whose style of headers never
/// changes. One class with branches rather than one a style: a branch that always goes the same way
/// costs nothing, and a call that has three targets is not inlined.
///
/// A reply is told by the cookie of its request and, in extended headers, by the offset that the
/// request began at (`origin`), however far its execution has come.
final class Replies {
    /// The longest error message sent: enough for one sentence.
    private static final int MESSAGE_BYTES_MAX = 512;

    /// A position that an error is not at.
    static final long NOWHERE = -1;

    /// Whether replies are in chunks: reads may be answered in several, and holes left out.
    final boolean chunked;

    /// What precedes the bytes read in a reply of one piece.
    final int readHeaderBytes;

    /// The header of one chunk.
    final int chunkBytes;

    /// Room that any error reply fits into.
    final int errorBytesMax;

    final boolean extended;

    Replies(HeaderStyle style) {
        extended = style == HeaderStyle.EXTENDED;
        chunked = style.chunks();
        chunkBytes = extended ? EXTENDED_REPLY_BYTES : STRUCTURED_REPLY_BYTES;
        readHeaderBytes = chunked ? dataHeaderBytes() : SIMPLE_REPLY_BYTES;
        errorBytesMax = chunkBytes + 4 + 2 + MESSAGE_BYTES_MAX + 8;
    }

    /// What precedes the bytes in a chunk of data.
    int dataHeaderBytes() {
        return chunkBytes + OFFSET_DATA_BYTES;
    }

    /// A chunk that stands for zeroes.
    int holeBytes() {
        return chunkBytes + OFFSET_HOLE_BYTES;
    }

    /// Puts a reply that says only that all is well. Where simple replies are allowed it is one,
    /// being shorter.
    void success(ByteBuf out, long cookie, long origin) {
        if (extended) {
            chunk(out, REPLY_FLAG_DONE, REPLY_TYPE_NONE, cookie, origin, 0);
        } else {
            simple(out, 0, cookie);
        }
    }

    /// Puts the answer to a read of no bytes.
    void nothing(ByteBuf out, long cookie, long origin) {
        if (chunked) {
            chunk(out, REPLY_FLAG_DONE, REPLY_TYPE_NONE, cookie, origin, 0);
        } else {
            simple(out, 0, cookie);
        }
    }

    /// Puts what precedes `length` bytes read: a chunk of them, or the header of a simple reply.
    ///
    /// @param flags [NbdProtocol#REPLY_FLAG_DONE] if they are the last of their reply
    void data(ByteBuf out, int flags, long cookie, long origin, long offset, int length) {
        if (chunked) {
            int bytes = OFFSET_DATA_BYTES + length;
            chunk(out, flags, REPLY_TYPE_OFFSET_DATA, cookie, origin, bytes);
            out.writeLong(offset);
        } else {
            simple(out, 0, cookie);
        }
    }

    /// Puts a chunk that stands for zeroes.
    void hole(ByteBuf out, int flags, long cookie, long origin, long offset, int length) {
        chunk(out, flags, REPLY_TYPE_OFFSET_HOLE, cookie, origin, OFFSET_HOLE_BYTES);
        out.writeLong(offset);
        out.writeInt(length);
    }

    /// Puts a refusal, in words too where the client understands chunks.
    ///
    /// @param at where it failed, everything before being done, or [#NOWHERE]
    void error(ByteBuf out, long cookie, long origin, int error, String message, long at) {
        if (!chunked) {
            simple(out, error, cookie);
            return;
        }
        byte[] text = message.getBytes(StandardCharsets.UTF_8);
        int bytes = Math.min(text.length, MESSAGE_BYTES_MAX);
        int length = 4 + 2 + bytes;
        if (at == NOWHERE) {
            chunk(out, REPLY_FLAG_DONE, REPLY_TYPE_ERROR, cookie, origin, length);
        } else {
            chunk(out, REPLY_FLAG_DONE, REPLY_TYPE_ERROR_OFFSET, cookie, origin, length + 8);
        }
        out.writeInt(error);
        out.writeShort(bytes);
        out.writeBytes(text, 0, bytes);
        if (at != NOWHERE) {
            out.writeLong(at);
        }
    }

    /// Puts the header of a chunk with `length` bytes after it.
    void chunk(ByteBuf out, int flags, int type, long cookie, long origin, int length) {
        out.writeInt(extended ? EXTENDED_REPLY_MAGIC : STRUCTURED_REPLY_MAGIC);
        out.writeShort(flags);
        out.writeShort(type);
        out.writeLong(cookie);
        if (extended) {
            out.writeLong(origin);
            out.writeLong(length);
        } else {
            out.writeInt(length);
        }
    }

    private static void simple(ByteBuf out, int error, long cookie) {
        out.writeInt(SIMPLE_REPLY_MAGIC);
        out.writeInt(error);
        out.writeLong(cookie);
    }
}
