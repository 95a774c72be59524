package dev.lockstep.block;

import java.nio.ByteBuffer;

/// A device that can keep what it is given in less space, a unit at a time. A
/// [dev.lockstep.block.graph.Gate] is one too, whatever is behind it: it answers [#compressedUnit]
/// with 0 where the device cannot.
///
/// Copying a whole image calls [#writeCompressed] once for each unit, from as many threads as there
/// are cores: compressing holds no lock. Zeroes are better left out or zeroed, as in any copy. What
/// was written is durable after the next [BlockDevice#flush].
public interface CompressedTarget {
    /// How many bytes are compressed together, a power of two, or 0 if this device does not
    /// compress.
    int compressedUnit();

    /// Writes as [BlockDevice#write] does, but compressed where that saves space. What it replaces
    /// is given up, whether that was compressed or not.
    ///
    /// @param offset a multiple of the unit
    /// @param source whole units, any number of them; the last may be short if it ends where the
    ///     device ends
    /// @throws BlockException with `INVALID` if the range is not one of whole units, with
    ///     `UNSUPPORTED` if this device does not compress
    void writeCompressed(long offset, ByteBuffer source) throws BlockException;
}
