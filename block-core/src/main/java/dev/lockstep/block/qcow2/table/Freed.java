package dev.lockstep.block.qcow2.table;

/// Why clusters become free. QEMU's options `pass-discard-*` say for which of these their space is
/// discarded in the file.
public enum Freed {
    /// The guest does not need what was there.
    REQUEST,
    /// A snapshot was deleted, or another one is what the disk goes on from.
    SNAPSHOT,
    /// The disk became shorter; always discarded.
    CUT,
    /// Something else took their place.
    OTHER
}
