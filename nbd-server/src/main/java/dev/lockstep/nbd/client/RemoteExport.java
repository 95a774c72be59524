package dev.lockstep.nbd.client;

import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

/// What a server said about its export during the handshake.
///
/// @param size in bytes
/// @param flags `NbdProtocol.FLAG_*`
/// @param minimumBlock every offset and length is a multiple of this; a power of two
/// @param preferredBlock requests of multiples of this are cheapest; a power of two
/// @param payloadMax the longest read or write in one request; a multiple of `minimumBlock`
/// @param structured whether replies are structured
/// @param allocationContext the id of `base:allocation` in BLOCK_STATUS, or null without it
public record RemoteExport(
        long size,
        int flags,
        int minimumBlock,
        int preferredBlock,
        int payloadMax,
        boolean structured,
        @Nullable Integer allocationContext) {

    /// Whether a transmission flag is set.
    public boolean has(int flag) {
        return (flags & flag) != 0;
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
        if (offset % minimumBlock != 0 || length % minimumBlock != 0) {
            return "the server's block size is %d".formatted(minimumBlock);
        }
        boolean hasPayload = command == NbdProtocol.CMD_READ || command == NbdProtocol.CMD_WRITE;
        return hasPayload && length > payloadMax
                ? "the server takes at most %d bytes at once".formatted(payloadMax)
                : null;
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
            case NbdProtocol.CMD_BLOCK_STATUS -> allocationContext != null;
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
            case NbdProtocol.CMD_BLOCK_STATUS -> NbdProtocol.CMD_FLAG_REQ_ONE;
            default -> 0;
        };
    }
}
