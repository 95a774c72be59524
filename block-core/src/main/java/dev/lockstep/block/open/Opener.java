package dev.lockstep.block.open;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;

/// What a driver makes of its options. It opens nothing yet, so that a whole tree is known to be
/// right before anything is.
@FunctionalInterface
public interface Opener {
    /// Takes from `options` what the driver understands. What it does not take is refused by the
    /// registry.
    ///
    /// @throws BlockException if something is missing or malformed
    Opening read(NodeOptions options) throws BlockException;

    /// The second step.
    @FunctionalInterface
    interface Opening {
        /// Opens the device. Its children are open: [Edge#gate] leads to them.
        ///
        /// @throws BlockException if it cannot be opened; then nothing is left open by it
        BlockDevice open() throws BlockException;
    }
}
