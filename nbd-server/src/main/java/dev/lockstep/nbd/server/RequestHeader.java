package dev.lockstep.nbd.server;

import static dev.lockstep.nbd.NbdProtocol.CMD_BLOCK_STATUS;
import static dev.lockstep.nbd.NbdProtocol.CMD_CACHE;
import static dev.lockstep.nbd.NbdProtocol.CMD_DISC;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_DF;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_FAST_ZERO;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_FUA;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_NO_HOLE;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_REQ_ONE;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLUSH;
import static dev.lockstep.nbd.NbdProtocol.CMD_READ;
import static dev.lockstep.nbd.NbdProtocol.CMD_TRIM;
import static dev.lockstep.nbd.NbdProtocol.CMD_WRITE;
import static dev.lockstep.nbd.NbdProtocol.CMD_WRITE_ZEROES;

import dev.lockstep.nbd.NbdProtocol;

import io.netty.buffer.ByteBuf;

/// The request that is being decoded: one per connection, filled again for each, so that decoding
/// allocates nothing. While it is done in pieces, offset and length say what remains.
final class RequestHeader {
    int magic;
    int flags;
    int type;
    long cookie;
    long offset;
    long length;

    /// Fills this from the next bytes.
    void take(ByteBuf input) {
        magic = input.readInt();
        flags = input.readUnsignedShort();
        type = input.readUnsignedShort();
        cookie = input.readLong();
        offset = input.readLong();
        length = input.readUnsignedInt();
    }

    boolean isFua() {
        return (flags & CMD_FLAG_FUA) != 0;
    }

    boolean wantsOneChunk() {
        return (flags & CMD_FLAG_DF) != 0;
    }

    /// Returns the error that refuses this request whatever the device holds, or 0.
    ///
    /// @param size of the export
    /// @param readOnly whether writing is refused
    /// @param structured whether chunks were agreed on
    /// @param allocation whether BLOCK_STATUS was agreed on
    int refusal(long size, boolean readOnly, boolean structured, boolean allocation) {
        int allowed = flagsAllowed(type, structured);
        if (allowed < 0 || (flags & ~allowed) != 0) {
            return NbdProtocol.EINVAL;
        }
        boolean writes = type == CMD_WRITE || type == CMD_WRITE_ZEROES || type == CMD_TRIM;
        if (writes && readOnly) {
            return NbdProtocol.EPERM;
        }
        if (type == CMD_DISC || type == CMD_FLUSH) {
            return 0;
        }
        if (offset < 0 || offset > size - length) {
            return writes && type != CMD_TRIM ? NbdProtocol.ENOSPC : NbdProtocol.EINVAL;
        }
        if (type == CMD_READ && length > NbdProtocol.PAYLOAD_BYTES_MAX) {
            return structured ? NbdProtocol.EOVERFLOW : NbdProtocol.EINVAL;
        }
        if (type == CMD_BLOCK_STATUS && (!allocation || length == 0)) {
            return NbdProtocol.EINVAL;
        }
        return 0;
    }

    /// Says in words what [#refusal] says as a number.
    String explain(int error, long size) {
        return switch (error) {
            case NbdProtocol.EPERM -> "the export is read-only";
            case NbdProtocol.ENOSPC -> "the export ends at %d".formatted(size);
            case NbdProtocol.EOVERFLOW ->
                    "one read is at most %d bytes".formatted(NbdProtocol.PAYLOAD_BYTES_MAX);
            default ->
                    "command %d with flags 0x%x at %d, %d bytes, is invalid on an export of %d bytes"
                            .formatted(type, flags, offset, length, size);
        };
    }

    /// FUA is allowed everywhere, as the protocol demands; -1 means an unknown command.
    private static int flagsAllowed(int type, boolean structured) {
        return switch (type) {
            case CMD_READ -> CMD_FLAG_FUA | (structured ? CMD_FLAG_DF : 0);
            case CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_CACHE -> CMD_FLAG_FUA;
            case CMD_WRITE_ZEROES -> CMD_FLAG_FUA | CMD_FLAG_NO_HOLE | CMD_FLAG_FAST_ZERO;
            case CMD_BLOCK_STATUS -> CMD_FLAG_FUA | CMD_FLAG_REQ_ONE;
            default -> -1;
        };
    }
}
