package dev.lockstep.block;

/// A stretch of a device that is alike throughout.
///
/// @param offset where it begins, in bytes
/// @param length how long it is, in bytes, at least 1
/// @param kind what is there
/// @param depth which layer of the chain provides it: 1 is the device asked, 2 its backing device,
///     and so on; 0 if no layer has it
public record Extent(long offset, long length, Kind kind, int depth) {
    /// What an extent holds.
    public enum Kind {
        /// Bytes that may have any value.
        DATA,
        /// Reads as zeroes, and space is allocated for it.
        ZERO,
        /// Reads as zeroes, and no space is allocated for it.
        HOLE
    }

    /// Checks the range.
    public Extent {
        if (offset < 0 || length <= 0) {
            throw new IllegalArgumentException("extent [%d, +%d)".formatted(offset, length));
        }
    }

    /// Returns an extent that the asked device provides itself.
    public static Extent of(long offset, long length, Kind kind) {
        return new Extent(offset, length, kind, 1);
    }

    /// Returns the first byte after it.
    public long end() {
        return offset + length;
    }
}
