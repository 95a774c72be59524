package dev.lockstep.block.format;

import dev.lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

/// An image that can lie above another one, as its user wishes. No request is in flight during
/// these calls.
public interface Layer {
    /// Records another backing file, durably. What is open stays as it is.
    ///
    /// @param name as it is recorded, or null for none
    /// @param format its format, or null to leave it to a guess
    /// @throws BlockException if that is not possible
    void changeBacking(@Nullable String name, @Nullable String format) throws BlockException;

    /// Forgets all that the image has, so that the image below it is seen everywhere. A crash on
    /// the way leaves each cluster as it was or as it is to be.
    ///
    /// @throws BlockException if that is not possible
    void makeEmpty() throws BlockException;
}
