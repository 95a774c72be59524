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
import static dev.lockstep.nbd.NbdProtocol.FLAG_READ_ONLY;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_CACHE;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_DF;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_FAST_ZERO;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_FLUSH;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_FUA;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_TRIM;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_WRITE_ZEROES;

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
    /// @param offered the transmission flags that the client was told
    /// @param structured whether chunks were agreed on
    /// @param allocation whether BLOCK_STATUS was agreed on
    int refusal(long size, int offered, boolean structured, boolean allocation) {
        int allowed = flagsAllowed(type, offered);
        if (allowed < 0 || (flags & ~allowed) != 0) {
            return NbdProtocol.EINVAL;
        }
        boolean writes = type == CMD_WRITE || type == CMD_WRITE_ZEROES || type == CMD_TRIM;
        if (writes && (offered & FLAG_READ_ONLY) != 0) {
            return NbdProtocol.EPERM;
        }
        if ((flagNeeded(type) & ~offered) != 0) {
            return NbdProtocol.EINVAL;
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
    private static int flagsAllowed(int type, int offered) {
        int fua = (offered & FLAG_SEND_FUA) != 0 ? CMD_FLAG_FUA : 0;
        return switch (type) {
            case CMD_READ -> fua | ((offered & FLAG_SEND_DF) != 0 ? CMD_FLAG_DF : 0);
            case CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_CACHE -> fua;
            case CMD_WRITE_ZEROES ->
                    fua
                            | CMD_FLAG_NO_HOLE
                            | ((offered & FLAG_SEND_FAST_ZERO) != 0 ? CMD_FLAG_FAST_ZERO : 0);
            case CMD_BLOCK_STATUS -> fua | CMD_FLAG_REQ_ONE;
            default -> -1;
        };
    }

    /// The transmission flag without which the command is unknown.
    private static int flagNeeded(int type) {
        return switch (type) {
            case CMD_FLUSH -> FLAG_SEND_FLUSH;
            case CMD_TRIM -> FLAG_SEND_TRIM;
            case CMD_CACHE -> FLAG_SEND_CACHE;
            case CMD_WRITE_ZEROES -> FLAG_SEND_WRITE_ZEROES;
            default -> 0;
        };
    }
}
