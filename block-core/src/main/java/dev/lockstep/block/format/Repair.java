package dev.lockstep.block.format;

/// What a check puts right.
public enum Repair {
    /// Nothing; the image is only read.
    NONE,
    /// Leaks, which cannot do any harm.
    LEAKS,
    /// Everything that can be.
    ALL
}
