package dev.lockstep.block.file;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import java.util.Arrays;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/// What the error numbers of Linux mean to us. They are the same on x86_64 and aarch64.
enum Errno {
    EPERM(1, Kind.DENIED, "Operation not permitted"),
    ENOENT(2, Kind.INVALID, "No such file or directory"),
    EINTR(4, Kind.IO, "Interrupted system call"),
    EIO(5, Kind.IO, "Input/output error"),
    ENXIO(6, Kind.GONE, "No such device or address"),
    EAGAIN(11, Kind.DENIED, "Resource temporarily unavailable"),
    ENOMEM(12, Kind.NO_MEMORY, "Cannot allocate memory"),
    EACCES(13, Kind.DENIED, "Permission denied"),
    EBUSY(16, Kind.DENIED, "Device or resource busy"),
    EEXIST(17, Kind.INVALID, "File exists"),
    ENODEV(19, Kind.GONE, "No such device"),
    ENOTDIR(20, Kind.INVALID, "Not a directory"),
    EISDIR(21, Kind.INVALID, "Is a directory"),
    EINVAL(22, Kind.INVALID, "Invalid argument"),
    ENFILE(23, Kind.NO_MEMORY, "Too many open files in system"),
    EMFILE(24, Kind.NO_MEMORY, "Too many open files"),
    ENOTTY(25, Kind.UNSUPPORTED, "Inappropriate ioctl for device"),
    ETXTBSY(26, Kind.DENIED, "Text file busy"),
    EFBIG(27, Kind.NO_SPACE, "File too large"),
    ENOSPC(28, Kind.NO_SPACE, "No space left on device"),
    ESPIPE(29, Kind.INVALID, "Illegal seek"),
    EROFS(30, Kind.READ_ONLY, "Read-only file system"),
    ENAMETOOLONG(36, Kind.INVALID, "File name too long"),
    ENOLCK(37, Kind.UNSUPPORTED, "No locks available"),
    ENOSYS(38, Kind.UNSUPPORTED, "Function not implemented"),
    ELOOP(40, Kind.INVALID, "Too many levels of symbolic links"),
    EOPNOTSUPP(95, Kind.UNSUPPORTED, "Operation not supported"),
    ETIMEDOUT(110, Kind.TIMEOUT, "Connection timed out"),
    ESTALE(116, Kind.GONE, "Stale file handle"),
    EREMOTEIO(121, Kind.IO, "Remote I/O error"),
    EDQUOT(122, Kind.NO_SPACE, "Disk quota exceeded"),
    ENOMEDIUM(123, Kind.GONE, "No medium found");

    private static final Map<Integer, Errno> BY_NUMBER =
            Arrays.stream(values()).collect(Collectors.toMap(e -> e.number, Function.identity()));

    private final int number;
    private final Kind kind;
    private final String text;

    Errno(int number, Kind kind, String text) {
        this.number = number;
        this.kind = kind;
        this.text = text;
    }

    /// Whether a result of [Posix] is this failure.
    boolean is(long result) {
        return result == -number;
    }

    /// Whether a result of [Posix] says that file system or device cannot do what was asked.
    static boolean isUnsupported(long result) {
        return EOPNOTSUPP.is(result) || ENOSYS.is(result) || ENOTTY.is(result);
    }

    /// What sort of failure a result of [Posix] is.
    static Kind kind(long result) {
        Errno errno = BY_NUMBER.get((int) -result);
        return errno == null ? Kind.IO : errno.kind;
    }

    /// Says a failed result of [Posix] in words.
    static String text(long result) {
        Errno errno = BY_NUMBER.get((int) -result);
        return errno == null ? "error " + -result : errno.text;
    }

    /// The exception for a request that got this result.
    static BlockException failure(
            BlockDevice device, String operation, long offset, long length, long result) {
        return BlockException.at(kind(result), device, operation, offset, length, text(result));
    }
}
