package dev.lockstep.block.qcow2.table;

/// A refcount block in memory. Its fields are guarded by the lock of [Refcounts].
final class CachedBlock {
    final RefcountBlock block;
    boolean dirty;

    /// A commit that may fail is about to write it.
    boolean committing;

    CachedBlock(RefcountBlock block) {
        this.block = block;
    }
}
