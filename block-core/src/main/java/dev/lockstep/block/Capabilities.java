package dev.lockstep.block;

/// What a device does by itself. The gate above it emulates what it lacks, so callers rarely ask.
///
/// @param readOnly no writing call may reach it
/// @param fua whether it honours [WriteFlag#FUA] itself; otherwise the gate flushes after the write
/// @param zero whether it has a zero that is better than writing zeroes; otherwise the gate writes
///     them
/// @param discard whether discarding releases space
/// @param alignment every offset and length that reaches the device is a multiple of this many
///     bytes, a power of two (the gate reads, modifies and writes around it; the size is a multiple
///     too)
/// @param alignedBuffers buffers must begin at a memory address that is a multiple of `alignment`
/// @param preferredBlockSize requests of multiples of this many bytes are cheapest; a power of two
/// @param sharedFlush a flush covers the writes of every user of this device, whichever connection
///     they came by
public record Capabilities(
        boolean readOnly,
        Support fua,
        Support zero,
        Support discard,
        int alignment,
        boolean alignedBuffers,
        int preferredBlockSize,
        boolean sharedFlush) {

    /// Who does it.
    public enum Support {
        /// Nobody.
        NONE,
        /// The gate.
        EMULATED,
        /// The device.
        NATIVE
    }

    /// A device that does everything itself, at any alignment.
    public static final Capabilities FULL =
            new Capabilities(
                    false, Support.NATIVE, Support.NATIVE, Support.NATIVE, 1, false, 4096, true);

    /// Checks the block sizes.
    public Capabilities {
        if (Integer.bitCount(alignment) != 1 || Integer.bitCount(preferredBlockSize) != 1) {
            throw new IllegalArgumentException("block sizes are powers of two");
        }
    }

    /// The same for a device that nobody may write to.
    public Capabilities asReadOnly() {
        return new Capabilities(
                true,
                fua,
                zero,
                discard,
                alignment,
                alignedBuffers,
                preferredBlockSize,
                sharedFlush);
    }
}
