package dev.lockstep.nbd;

import dev.lockstep.block.BlockException.Kind;

/// The one place where the errors of block devices and those of the wire are translated into each
/// other.
public final class NbdErrors {
    private NbdErrors() {}

    /// Returns the error that answers a failed request.
    ///
    /// @param command the request that failed, one of `NbdProtocol.CMD_*`: beyond the end a write
    ///     finds no space, a read makes no sense
    public static int errno(Kind kind, int command) {
        return switch (kind) {
            case IO, CORRUPT, TIMEOUT, GONE -> NbdProtocol.EIO;
            case NO_SPACE -> NbdProtocol.ENOSPC;
            case READ_ONLY, DENIED -> NbdProtocol.EPERM;
            case OUT_OF_RANGE -> beyondTheEnd(command);
            case INVALID -> NbdProtocol.EINVAL;
            case UNSUPPORTED -> unsupported(command);
            case NO_MEMORY -> NbdProtocol.ENOMEM;
        };
    }

    /// Returns what an error on the wire means for a device; an unexpected one counts as invalid.
    public static Kind kind(int errno) {
        return switch (errno) {
            case NbdProtocol.EPERM -> Kind.READ_ONLY;
            case NbdProtocol.EIO -> Kind.IO;
            case NbdProtocol.ENOMEM -> Kind.NO_MEMORY;
            case NbdProtocol.ENOSPC -> Kind.NO_SPACE;
            case NbdProtocol.ENOTSUP -> Kind.UNSUPPORTED;
            case NbdProtocol.ESHUTDOWN -> Kind.GONE;
            default -> Kind.INVALID;
        };
    }

    /// Names an error for people: `ENOSPC`.
    public static String name(int errno) {
        return switch (errno) {
            case NbdProtocol.EPERM -> "EPERM";
            case NbdProtocol.EIO -> "EIO";
            case NbdProtocol.ENOMEM -> "ENOMEM";
            case NbdProtocol.EINVAL -> "EINVAL";
            case NbdProtocol.ENOSPC -> "ENOSPC";
            case NbdProtocol.EOVERFLOW -> "EOVERFLOW";
            case NbdProtocol.ENOTSUP -> "ENOTSUP";
            case NbdProtocol.ESHUTDOWN -> "ESHUTDOWN";
            default -> "error " + errno;
        };
    }

    /// ENOTSUP is the answer to a fast zero that would be slow, and to nothing else.
    private static int unsupported(int command) {
        return switch (command) {
            case NbdProtocol.CMD_WRITE_ZEROES -> NbdProtocol.ENOTSUP;
            case NbdProtocol.CMD_RESIZE -> NbdProtocol.EPERM;
            default -> NbdProtocol.EINVAL;
        };
    }

    private static int beyondTheEnd(int command) {
        return command == NbdProtocol.CMD_WRITE || command == NbdProtocol.CMD_WRITE_ZEROES
                ? NbdProtocol.ENOSPC
                : NbdProtocol.EINVAL;
    }
}
