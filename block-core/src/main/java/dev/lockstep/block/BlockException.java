package dev.lockstep.block;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/// A request on a block device failed. Callers decide by [#kind]; the message is for people and
/// says which device, where and why.
public final class BlockException extends IOException {
    private static final long serialVersionUID = 1L;

    /// What sort of failure it is. The NBD error and the QMP error class are each derived from it,
    /// in one place.
    public enum Kind {
        /// The medium or its transport failed.
        IO,
        /// There is no room left for what was to be written.
        NO_SPACE,
        /// The device may not be written to.
        READ_ONLY,
        /// The range lies beyond the end of the device.
        OUT_OF_RANGE,
        /// The request makes no sense for this device.
        INVALID,
        /// The device cannot do this.
        UNSUPPORTED,
        /// The host refused: a file's permissions, or a lock that another process holds.
        DENIED,
        /// The device's own metadata is inconsistent.
        CORRUPT,
        /// It took longer than its deadline.
        TIMEOUT,
        /// The device is gone: closed, failed for good, or its peer was lost.
        GONE,
        /// Memory for the request could not be had.
        NO_MEMORY
    }

    private final Kind kind;

    /// A failure without a position.
    public BlockException(Kind kind, String message) {
        this(kind, message, null);
    }

    /// A failure with the failure that led to it.
    public BlockException(Kind kind, String message, @Nullable Throwable cause) {
        super(message, cause);
        this.kind = kind;
    }

    /// What sort of failure it is.
    public Kind kind() {
        return kind;
    }

    /// What went wrong, where and why; never null.
    @Override
    public String getMessage() {
        return String.valueOf(super.getMessage());
    }

    /// The same failure, for another who waits for it: its stack trace tells who asked.
    public BlockException again() {
        return new BlockException(kind, getMessage(), this);
    }

    /// Describes a failed request: `file a.raw: write of 4096 bytes at 0x1000: No space left`.
    public static BlockException at(
            Kind kind,
            BlockDevice device,
            String operation,
            long offset,
            long length,
            String reason) {
        return new BlockException(
                kind,
                "%s: %s of %d bytes at 0x%x: %s"
                        .formatted(device.description(), operation, length, offset, reason));
    }
}
