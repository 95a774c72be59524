package dev.lockstep.block.graph;

import dev.lockstep.block.RangeLock;

/// A device with an alignment that several gates may lead to.
///
/// A gate that writes part of a block reads the block, changes it and writes it back. Another write
/// to that block in between would be undone, whichever gate it came through: so the lock that
/// prevents it belongs to the device. Without this interface each gate has a lock of its own.
public interface SharedAlignment {
    /// The lock on the device's blocks: exclusive to write part of one, shared to write all of it.
    RangeLock blockLock();
}
