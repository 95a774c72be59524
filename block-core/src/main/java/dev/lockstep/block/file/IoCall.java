package dev.lockstep.block.file;

import dev.lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

/// A system call, or a short loop of them, that may block. It takes no lock and enters no gate.
///
/// @param <T> what it returns
@FunctionalInterface
public interface IoCall<T extends @Nullable Object> {
    /// Makes the call.
    T run() throws BlockException;
}
