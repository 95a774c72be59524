package dev.lockstep.block.qcow2.create;

import java.util.Locale;

/// What of a new image takes its place at once.
public enum Preallocation {
    /// Nothing: clusters are allocated as they are written.
    OFF,
    /// The tables map every cluster; the file stays sparse.
    METADATA,
    /// As with `METADATA`, and the file system reserves the space.
    FALLOC,
    /// As with `METADATA`, and zeroes are written.
    FULL;

    /// The name by which QEMU's tools know it.
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
