package dev.lockstep.block.filter.copybeforewrite;

/// What is given up if old bytes cannot be preserved, by QEMU's names.
public enum OnCbwError {
    /// The write that would lose them: it is refused.
    BREAK_GUEST_WRITE,
    /// The snapshot: it cannot be read any more.
    BREAK_SNAPSHOT
}
