package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.qcow2.layout.L2Entry;

import java.nio.ByteBuffer;
import java.util.List;

/// What a commit has to write of the mappings.
///
/// @param tables the L2 tables with changes
/// @param unmapped what was referred to and is not any more
record DirtyTables(List<Table> tables, List<Unmapped> unmapped) {
    /// An L2 table with changes.
    ///
    /// @param index its entry in the L1 table
    /// @param word what that entry is
    /// @param parts those of its slices that have changed
    record Table(int index, long word, List<Part> parts) {
        /// Whether it needs a place in the file, since it has none or shares it.
        boolean needsPlace() {
            return !L2Entry.isCopied(word);
        }

        /// Where it lies now, 0 if nowhere.
        long host() {
            return L2Entry.offset(word);
        }
    }

    /// A slice as it was when the commit began.
    ///
    /// @param offset where in its table, in bytes
    record Part(Slice slice, int offset, ByteBuffer bytes) {}
}
