package dev.lockstep.block;

import java.nio.ByteBuffer;

/// A device that can keep what it is given in less space, a unit at a time. A
/// [dev.lockstep.block.graph.Gate] is one too, whatever is behind it: it answers [#compressedUnit]
/// with 0 where the device cannot.
///
/// Compressing holds no lock, so it is done by as many threads as there are cores; units lie in the
/// order in which they are stored. Zeroes are better left out or zeroed, as in any copy. What was
/// written is durable after the next [BlockDevice#flush].
public interface CompressedTarget {
    /// How many bytes are compressed together, a power of two, or 0 if this device does not
    /// compress.
    int compressedUnit();

    /// Compresses a unit. The device does not change before it is stored.
    ///
    /// @param offset a multiple of the unit
    /// @param source a unit, or less if it ends where the device ends; it is all taken, and its
    ///     bytes stay as they are until the result is closed
    /// @throws BlockException with `INVALID` if that is not a unit, with `UNSUPPORTED` if this
    ///     device does not compress
    Compressed compress(long offset, ByteBuffer source) throws BlockException;

    /// A unit that was compressed, where that saves space. For one thread.
    interface Compressed extends AutoCloseable {
        /// Writes it. What it replaces is given up, whether that was compressed or not.
        void store() throws BlockException;

        /// Gives its memory back.
        @Override
        void close();
    }

    /// Writes whole units as [BlockDevice#write] does, but compressed where that saves space.
    ///
    /// @param source any number of units; the last as for [#compress]
    /// @throws BlockException as [#compress]; then some of the units may have been written
    default void writeCompressed(long offset, ByteBuffer source) throws BlockException {
        int end = source.limit();
        for (long at = offset; source.hasRemaining(); at += compressedUnit()) {
            source.limit(Math.min(end, source.position() + Math.max(1, compressedUnit())));
            try (Compressed compressed = compress(at, source)) {
                compressed.store();
            }
            source.limit(end);
        }
    }
}
