package dev.lockstep.block.file;

import dev.lockstep.block.BlockException.Kind;

/// An error number of Linux, for those who make errors up: 28 is `ENOSPC`.
public record HostError(int number) {
    /// What sort of failure it is.
    public Kind kind() {
        return Errno.kind(-number);
    }

    /// The same in words.
    public String text() {
        return Errno.text(-number);
    }
}
