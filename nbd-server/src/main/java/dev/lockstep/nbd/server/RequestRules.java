package dev.lockstep.nbd.server;

import static dev.lockstep.nbd.NbdProtocol.CMD_BLOCK_STATUS;
import static dev.lockstep.nbd.NbdProtocol.CMD_CACHE;
import static dev.lockstep.nbd.NbdProtocol.CMD_DISC;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_DF;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_FAST_ZERO;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_FUA;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_NO_HOLE;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_PAYLOAD_LEN;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_REQ_ONE;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLUSH;
import static dev.lockstep.nbd.NbdProtocol.CMD_READ;
import static dev.lockstep.nbd.NbdProtocol.CMD_RESIZE;
import static dev.lockstep.nbd.NbdProtocol.CMD_TRIM;
import static dev.lockstep.nbd.NbdProtocol.CMD_WRITE;
import static dev.lockstep.nbd.NbdProtocol.CMD_WRITE_ZEROES;
import static dev.lockstep.nbd.NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD;
import static dev.lockstep.nbd.NbdProtocol.FLAG_READ_ONLY;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_CACHE;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_DF;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_FAST_ZERO;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_FLUSH;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_FUA;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_RESIZE;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_TRIM;
import static dev.lockstep.nbd.NbdProtocol.FLAG_SEND_WRITE_ZEROES;

import dev.lockstep.nbd.ContextSelection.Selected;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Negotiation.Transmission;

import java.util.List;

/// Which requests one connection may make, whatever the device holds: what follows from what was
/// agreed on in the handshake.
final class RequestRules {
    final boolean extended;
    final int headerBytes;
    final List<Selected> contexts;
    private final boolean chunked;
    private final int offered;
    private final int blockMask;
    private long size;

    RequestRules(Transmission agreed) {
        this.extended = agreed.style() == HeaderStyle.EXTENDED;
        this.chunked = agreed.style().chunks();
        this.headerBytes =
                extended ? NbdProtocol.EXTENDED_REQUEST_BYTES : NbdProtocol.REQUEST_BYTES;
        this.contexts = agreed.contexts();
        this.offered = agreed.flags();
        this.blockMask = agreed.export().minimumBlockSize() - 1;
        this.size = agreed.size();
    }

    /// The client has changed the size. Until then it keeps the size that it was told.
    void resized(long bytes) {
        size = bytes;
    }

    /// What every request begins with.
    int magic() {
        return extended ? NbdProtocol.EXTENDED_REQUEST_MAGIC : NbdProtocol.REQUEST_MAGIC;
    }

    /// How many bytes follow the header; more than fits a signed long is negative. With extended
    /// headers a flag tells, even for a command that takes no payload. A write has a payload
    /// without the flag too: QEMU 10 leaves it out.
    long payloadBytes(RequestHeader header) {
        boolean follows =
                header.type == CMD_WRITE
                        || (extended && (header.flags & CMD_FLAG_PAYLOAD_LEN) != 0);
        return follows ? header.length : 0;
    }

    /// Whether the payload tells which contexts BLOCK_STATUS is about.
    boolean hasFilter(RequestHeader header) {
        return header.type == CMD_BLOCK_STATUS && (header.flags & CMD_FLAG_PAYLOAD_LEN) != 0;
    }

    /// Returns the error that refuses this request, or 0. Of a request with a filter, the range is
    /// not known yet; see [#rangeRefusal].
    int refusal(RequestHeader header) {
        int type = header.type;
        int allowed = flagsAllowed(type);
        if (allowed < 0 || (header.flags & ~allowed) != 0) {
            return NbdProtocol.EINVAL;
        }
        if (isWriting(type) && (offered & FLAG_READ_ONLY) != 0) {
            return NbdProtocol.EPERM;
        }
        if ((flagNeeded(type) & ~offered) != 0) {
            return NbdProtocol.EINVAL;
        }
        if (type == CMD_BLOCK_STATUS && contexts.isEmpty()) {
            return NbdProtocol.EINVAL;
        }
        return hasFilter(header) ? 0 : rangeRefusal(header);
    }

    /// Returns the error that refuses the range of this request, or 0.
    int rangeRefusal(RequestHeader header) {
        int type = header.type;
        long offset = header.offset;
        long length = header.length;
        if (type == CMD_DISC || type == CMD_FLUSH) {
            return 0;
        }
        if (type == CMD_RESIZE) {
            return offset < 0 || (offset & blockMask) != 0 ? NbdProtocol.EINVAL : 0;
        }
        if (offset < 0 || length < 0 || offset > size - length) {
            return isWriting(type) && type != CMD_TRIM ? NbdProtocol.ENOSPC : NbdProtocol.EINVAL;
        }
        if (((offset | length) & blockMask) != 0) {
            return NbdProtocol.EINVAL;
        }
        if (type == CMD_READ && length > NbdProtocol.PAYLOAD_BYTES_MAX) {
            return chunked ? NbdProtocol.EOVERFLOW : NbdProtocol.EINVAL;
        }
        return type == CMD_BLOCK_STATUS && length == 0 ? NbdProtocol.EINVAL : 0;
    }

    /// Says in words what the refusals say as numbers.
    String explain(RequestHeader header, int error) {
        return switch (error) {
            case NbdProtocol.EPERM -> "the export is read-only";
            case NbdProtocol.ENOSPC -> "the export ends at %d".formatted(size);
            case NbdProtocol.EOVERFLOW ->
                    "one read is at most %d bytes".formatted(NbdProtocol.PAYLOAD_BYTES_MAX);
            default ->
                    ("command %d with flags 0x%x at %s, %s bytes, is invalid on an export of"
                                    + " %d bytes in blocks of %d")
                            .formatted(
                                    header.type,
                                    header.flags,
                                    Long.toUnsignedString(header.offset),
                                    Long.toUnsignedString(header.length),
                                    size,
                                    blockMask + 1);
        };
    }

    private static boolean isWriting(int type) {
        return type == CMD_WRITE || type == CMD_WRITE_ZEROES || type == CMD_TRIM;
    }

    /// FUA is allowed everywhere, as the protocol demands; -1 means an unknown command.
    private int flagsAllowed(int type) {
        int fua = ifOffered(FLAG_SEND_FUA, CMD_FLAG_FUA);
        return switch (type) {
            case CMD_READ -> fua | ifOffered(FLAG_SEND_DF, CMD_FLAG_DF);
            case CMD_WRITE -> fua | (extended ? CMD_FLAG_PAYLOAD_LEN : 0);
            case CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_CACHE, CMD_RESIZE -> fua;
            case CMD_WRITE_ZEROES ->
                    fua | CMD_FLAG_NO_HOLE | ifOffered(FLAG_SEND_FAST_ZERO, CMD_FLAG_FAST_ZERO);
            case CMD_BLOCK_STATUS ->
                    fua
                            | CMD_FLAG_REQ_ONE
                            | ifOffered(FLAG_BLOCK_STATUS_PAYLOAD, CMD_FLAG_PAYLOAD_LEN);
            default -> -1;
        };
    }

    private int ifOffered(int transmissionFlag, int commandFlag) {
        return (offered & transmissionFlag) != 0 ? commandFlag : 0;
    }

    /// The transmission flag without which the command is unknown.
    private static int flagNeeded(int type) {
        return switch (type) {
            case CMD_FLUSH -> FLAG_SEND_FLUSH;
            case CMD_TRIM -> FLAG_SEND_TRIM;
            case CMD_CACHE -> FLAG_SEND_CACHE;
            case CMD_WRITE_ZEROES -> FLAG_SEND_WRITE_ZEROES;
            case CMD_RESIZE -> FLAG_SEND_RESIZE;
            default -> 0;
        };
    }
}
