package dev.lockstep.block.qcow2.table;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;

/// What a commit has to write of the refcounts.
///
/// @param blocks the bytes of the blocks that have changed, by where they lie
/// @param table the whole table if it has moved, or null
/// @param entries the table's entries that are new, if it has not moved
record RefcountChanges(
        Map<Long, ByteBuffer> blocks,
        long tableOffset,
        @Nullable ByteBuffer table,
        Map<Integer, Long> entries,
        List<HostRange> oldTables) {

    /// Whether the table has to be written, after the blocks are on stable storage.
    boolean tableChanges() {
        return table != null || !entries.isEmpty();
    }
}
