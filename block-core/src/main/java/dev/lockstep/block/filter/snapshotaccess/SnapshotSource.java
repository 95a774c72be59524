package dev.lockstep.block.filter.snapshotaccess;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;

/// A device that keeps how the one below it was.
public interface SnapshotSource {
    /// The way to what was there. Bytes that were read through it count if this still succeeds
    /// after the read.
    ///
    /// @throws BlockException if it could not be kept
    Gate snapshot() throws BlockException;
}
