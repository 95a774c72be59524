package dev.lockstep.block.graph;

import dev.lockstep.block.BlockException;

/// A device whose length can change while it is open. Its [dev.lockstep.block.BlockDevice#size]
/// changes through these calls alone, so who holds a gate to it never meets a length that the gate
/// does not know.
public interface Resizable {
    /// Looks whether what is below has become longer, by somebody else's doing, and if so takes on
    /// its length. What has become shorter keeps the length that was told. Does not block: it looks
    /// at what is in memory.
    ///
    /// @return the length from now on
    long remeasure();

    /// Makes the device longer, by bytes that read as zeroes, or shorter. No request is in flight.
    ///
    /// @throws BlockException with `UNSUPPORTED` if the length of this device is fixed, with
    ///     `INVALID` if it cannot be exactly that long
    void resize(long bytes) throws BlockException;

    /// Makes the device at least so long, by bytes that read as zeroes, while requests may be in
    /// flight: how the file of a format grows. Does nothing if it is that long already.
    ///
    /// @throws BlockException with `NO_SPACE` if this device cannot grow like that
    default void grow(long bytes) throws BlockException {
        throw new BlockException(
                BlockException.Kind.NO_SPACE,
                "the device below cannot become longer than it is: make it %d bytes long first"
                        .formatted(bytes));
    }
}
