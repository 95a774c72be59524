package dev.lockstep.nbd.server;

import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_DF;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_FUA;

import io.netty.buffer.ByteBuf;

/// The request that is being decoded: one per connection, filled again for each, so that decoding
/// allocates nothing. While it is done in pieces, offset and length say what remains.
final class RequestHeader {
    int magic;
    int flags;
    int type;
    long cookie;
    long offset;

    /// Of the range that it is about, or of a write's payload.
    long length;

    /// The offset as the client gave it.
    long origin;

    /// Fills this from the next bytes.
    void take(ByteBuf input, boolean extended) {
        magic = input.readInt();
        flags = input.readUnsignedShort();
        type = input.readUnsignedShort();
        cookie = input.readLong();
        origin = input.readLong();
        offset = origin;
        length = extended ? input.readLong() : input.readUnsignedInt();
    }

    boolean isFua() {
        return (flags & CMD_FLAG_FUA) != 0;
    }

    boolean wantsOneChunk() {
        return (flags & CMD_FLAG_DF) != 0;
    }
}
