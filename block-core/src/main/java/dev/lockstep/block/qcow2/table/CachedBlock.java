package dev.lockstep.block.qcow2.table;

import java.nio.ByteBuffer;

/// A refcount block in memory. Its fields are guarded by the lock of [Refcounts].
final class CachedBlock {
    final ByteBuffer bytes;
    boolean dirty;

    /// A commit that may fail is about to write it.
    boolean committing;

    CachedBlock(ByteBuffer bytes) {
        this.bytes = bytes;
    }
}
