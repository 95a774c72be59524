package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;

/// What is done with tables. Each is shown once.
interface L2Visitor {
    /// An entry of the active L1 table that points to an L2 table which is possible.
    ///
    /// @return what the entry is to be
    long activeEntry(long word) throws BlockException;

    /// An L2 table.
    ///
    /// @param tables how many L1 entries point to it
    /// @param active whether one of them is of the active L1 table
    /// @return whether the words were changed
    boolean table(long[] words, long offset, long tables, boolean active) throws BlockException;
}
