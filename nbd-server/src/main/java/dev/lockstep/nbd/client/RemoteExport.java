package dev.lockstep.nbd.client;

import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.OptionReply;

import org.jspecify.annotations.Nullable;

import java.util.List;

/// What a server said about its export during the handshake.
///
/// @param name what the server calls it
/// @param description the server's words about it; empty without any
/// @param size in bytes
/// @param flags `NbdProtocol.FLAG_*`
/// @param blockSizes what the server said about the sizes of requests, or null if nothing
/// @param headers the style that was agreed on
/// @param contexts the metadata contexts that were agreed on
public record RemoteExport(
        String name,
        String description,
        long size,
        int flags,
        OptionReply.@Nullable InfoBlockSize blockSizes,
        HeaderStyle headers,
        List<OptionReply.MetaContext> contexts) {

    private static final int PREFERRED_BLOCK_DEFAULT = 4096;

    /// The flags whose absence would be missed.
    private static final int CAPABILITIES =
            NbdProtocol.FLAG_SEND_FLUSH
                    | NbdProtocol.FLAG_SEND_FUA
                    | NbdProtocol.FLAG_SEND_TRIM
                    | NbdProtocol.FLAG_SEND_WRITE_ZEROES
                    | NbdProtocol.FLAG_SEND_DF
                    | NbdProtocol.FLAG_CAN_MULTI_CONN
                    | NbdProtocol.FLAG_SEND_CACHE
                    | NbdProtocol.FLAG_SEND_FAST_ZERO
                    | NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD;

    /// The longest range that the compact header of a request has room for.
    private static final long COMPACT_LENGTH_MAX = 0xffff_ffffL;

    /// Whether a transmission flag is set.
    public boolean has(int flag) {
        return (flags & flag) != 0;
    }

    /// Every offset and length is a multiple of this many bytes; a power of two.
    public int minimumBlock() {
        return blockSizes == null ? 1 : blockSizes.minimum();
    }

    /// Requests of multiples of this many bytes are cheapest; a power of two.
    public int preferredBlock() {
        return blockSizes == null ? PREFERRED_BLOCK_DEFAULT : blockSizes.preferred();
    }

    /// The longest read or write in one request; a multiple of [#minimumBlock].
    public int payloadMax() {
        if (blockSizes == null) {
            return NbdProtocol.PAYLOAD_BYTES_MAX;
        }
        long usable = Math.min(blockSizes.maximum(), NbdProtocol.PAYLOAD_BYTES_MAX);
        return (int) (usable - usable % blockSizes.minimum());
    }

    /// The number by which replies name a metadata context, or null if it was not agreed on.
    @Nullable Integer contextId(String context) {
        for (OptionReply.MetaContext agreed : contexts) {
            if (agreed.name().equals(context)) {
                return agreed.id();
            }
        }
        return null;
    }

    boolean hasContext(int id) {
        for (OptionReply.MetaContext agreed : contexts) {
            if (agreed.id() == id) {
                return true;
            }
        }
        return false;
    }

    /// Says what this export, met again, no longer is or has, or null if nothing.
    @Nullable String lack(RemoteExport before) {
        if (size != before.size) {
            return "the export has %d bytes instead of %d".formatted(size, before.size);
        }
        int was = before.flags & CAPABILITIES;
        boolean lostWriting =
                has(NbdProtocol.FLAG_READ_ONLY) && !before.has(NbdProtocol.FLAG_READ_ONLY);
        if ((was & flags) != was || lostWriting) {
            return "the export can do less: its flags are 0x%x instead of 0x%x"
                    .formatted(flags, before.flags);
        }
        if (minimumBlock() > before.minimumBlock() || payloadMax() < before.payloadMax()) {
            return "the export takes fewer sizes of requests: %s instead of %s"
                    .formatted(blockSizes, before.blockSizes);
        }
        if (headers.compareTo(before.headers) < 0) {
            return "the server has only %s headers instead of %s"
                    .formatted(headers, before.headers);
        }
        for (OptionReply.MetaContext context : before.contexts) {
            if (contextId(context.name()) == null) {
                return "the server no longer tells '%s'".formatted(context.name());
            }
        }
        return null;
    }

    /// Says why a request must not be sent to this export, or null if it may.
    @Nullable String refusal(int command, int requestFlags, long offset, long length) {
        if (command == Request.RAW) {
            return length == 0 ? null : "a strict connection sends nothing but requests";
        }
        if (!knows(command)) {
            return "the server does not offer this command";
        }
        if ((requestFlags & ~allowedFlags(command)) != 0) {
            return "the server does not offer these flags: 0x%x".formatted(requestFlags);
        }
        if (command == NbdProtocol.CMD_FLUSH || command == NbdProtocol.CMD_DISC) {
            return offset == 0 && length == 0 ? null : "it has no range";
        }
        if (offset < 0 || length <= 0 || offset > size - length) {
            return "the export ends at 0x%x".formatted(size);
        }
        if (offset % minimumBlock() != 0 || length % minimumBlock() != 0) {
            return "the server's block size is %d".formatted(minimumBlock());
        }
        boolean hasPayload = command == NbdProtocol.CMD_READ || command == NbdProtocol.CMD_WRITE;
        long max = hasPayload ? payloadMax() : rangeMax();
        return length > max ? "the server takes at most %d bytes at once".formatted(max) : null;
    }

    /// The longest range of a request without a payload.
    private long rangeMax() {
        return headers == HeaderStyle.EXTENDED ? Long.MAX_VALUE : COMPACT_LENGTH_MAX;
    }

    private boolean knows(int command) {
        boolean writable = !has(NbdProtocol.FLAG_READ_ONLY);
        return switch (command) {
            case NbdProtocol.CMD_READ, NbdProtocol.CMD_DISC -> true;
            case NbdProtocol.CMD_WRITE -> writable;
            case NbdProtocol.CMD_FLUSH -> has(NbdProtocol.FLAG_SEND_FLUSH);
            case NbdProtocol.CMD_TRIM -> writable && has(NbdProtocol.FLAG_SEND_TRIM);
            case NbdProtocol.CMD_CACHE -> has(NbdProtocol.FLAG_SEND_CACHE);
            case NbdProtocol.CMD_WRITE_ZEROES ->
                    writable && has(NbdProtocol.FLAG_SEND_WRITE_ZEROES);
            case NbdProtocol.CMD_BLOCK_STATUS -> !contexts.isEmpty();
            default -> false;
        };
    }

    private int allowedFlags(int command) {
        int fua = has(NbdProtocol.FLAG_SEND_FUA) ? NbdProtocol.CMD_FLAG_FUA : 0;
        return switch (command) {
            case NbdProtocol.CMD_READ ->
                    has(NbdProtocol.FLAG_SEND_DF) ? NbdProtocol.CMD_FLAG_DF : 0;
            case NbdProtocol.CMD_WRITE, NbdProtocol.CMD_TRIM -> fua;
            case NbdProtocol.CMD_WRITE_ZEROES ->
                    fua
                            | NbdProtocol.CMD_FLAG_NO_HOLE
                            | (has(NbdProtocol.FLAG_SEND_FAST_ZERO)
                                    ? NbdProtocol.CMD_FLAG_FAST_ZERO
                                    : 0);
            case NbdProtocol.CMD_BLOCK_STATUS ->
                    NbdProtocol.CMD_FLAG_REQ_ONE
                            | (has(NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD)
                                    ? NbdProtocol.CMD_FLAG_PAYLOAD_LEN
                                    : 0);
            default -> 0;
        };
    }
}
