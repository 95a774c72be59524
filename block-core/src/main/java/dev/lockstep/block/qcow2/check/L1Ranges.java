package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;

import java.util.Map;
import java.util.TreeMap;

/// Where the image's L1 tables are. They may share clusters, or bytes: what is shared is visited
/// once, with the number of tables that share it, so that thousands of snapshots cannot make a
/// hostile image expensive.
final class L1Ranges {
    /// What is done with a part of the file that so many tables have.
    @FunctionalInterface
    interface Visitor {
        /// The part is not empty.
        void visit(long start, long end, long tables) throws BlockException;
    }

    /// By position, by how much the number of tables changes there.
    private final TreeMap<Long, Long> changes = new TreeMap<>();

    void add(long start, long end) {
        if (start < end) {
            changes.merge(start, 1L, Long::sum);
            changes.merge(end, -1L, Long::sum);
        }
    }

    void forEach(Visitor visitor) throws BlockException {
        long tables = 0;
        long start = 0;
        for (Map.Entry<Long, Long> change : changes.entrySet()) {
            if (tables > 0) {
                visitor.visit(start, change.getKey(), tables);
            }
            tables += change.getValue();
            start = change.getKey();
        }
    }
}
