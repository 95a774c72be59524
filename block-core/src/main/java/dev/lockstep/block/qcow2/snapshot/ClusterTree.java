package dev.lockstep.block.qcow2.snapshot;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.HostRange;
import dev.lockstep.block.qcow2.table.Tables;

/// The clusters that an L1 table reaches: L2 tables and what they point to. Nothing of them is
/// changed in memory and not in the file.
final class ClusterTree {
    /// The refcounts of so many are in few blocks.
    private static final int COLLECTED_MAX = 4096;

    private final Tables tables;
    private final Geometry geometry;
    private final HostFile file;
    private final long[] l1;

    /// How many references were changed, and how many may be.
    private long changed;

    private long limit;

    /// Clusters in a row that a reference is to be taken from.
    private long first;

    private long collected;

    ClusterTree(Tables tables, long[] l1) {
        this.tables = tables;
        this.l1 = l1;
        geometry = tables.geometry();
        file = tables.file();
    }

    /// Adds a reference to each cluster.
    ///
    /// @throws BlockException if that is not possible; nothing has changed then
    void hold() throws BlockException {
        boolean done = false;
        try {
            walk(1, Long.MAX_VALUE);
            done = true;
        } finally {
            if (!done) {
                walk(-1, changed);
            }
        }
    }

    /// Takes a reference from each cluster.
    void release() throws BlockException {
        walk(-1, Long.MAX_VALUE);
    }

    /// Puts the COPIED flags of L2 tables right.
    ///
    /// @return the L1 table with the right flags
    long[] flag() throws BlockException {
        long[] flagged = l1.clone();
        for (int index = 0; index < l1.length; index++) {
            if (L2Entry.offset(l1[index]) == 0) {
                continue;
            }
            flagged[index] = flagged(l1[index]);
            long[] words = table(index);
            boolean dirty = false;
            for (int at = 0; at < words.length; at += geometry.entryWords()) {
                long word = words[at];
                if (!L2Entry.isCompressed(word) && L2Entry.offset(word) != 0) {
                    words[at] = flagged(word);
                    dirty |= words[at] != word;
                }
            }
            if (dirty) {
                file.write(L2Entry.offset(l1[index]), HostFile.bytes(words));
            }
        }
        return flagged;
    }

    private long flagged(long word) throws BlockException {
        boolean single = tables.refcounts().get(geometry.cluster(L2Entry.offset(word))) == 1;
        return single ? word | L2Entry.COPIED : word & ~L2Entry.COPIED;
    }

    private void walk(long change, long most) throws BlockException {
        changed = 0;
        limit = most;
        for (int index = 0; index < l1.length && changed < limit; index++) {
            if (L2Entry.offset(l1[index]) == 0) {
                continue;
            }
            long[] words = table(index);
            add(geometry.cluster(L2Entry.offset(l1[index])), 1, change);
            for (int at = 0; at < words.length; at += geometry.entryWords()) {
                addEntry(words[at], change);
            }
        }
        freeCollected();
    }

    private void addEntry(long word, long change) throws BlockException {
        long offset = L2Entry.offset(word);
        if (L2Entry.isCompressed(word)) {
            offset = L2Entry.compressedOffset(word, geometry.clusterBits());
            int bytes = L2Entry.compressedBytes(word, geometry.clusterBits());
            long first = geometry.cluster(offset);
            add(first, geometry.cluster(offset + bytes - 1) - first + 1, change);
        } else if (L2Entry.isDamaged(word, geometry)) {
            throw file.corrupt("there is an L2 entry which is 0x%x".formatted(word));
        } else if (offset != 0) {
            add(geometry.cluster(offset), 1, change);
        }
    }

    private void add(long cluster, long count, long change) throws BlockException {
        for (long at = cluster; at < cluster + count && changed < limit; at++) {
            if (change < 0) {
                collect(at);
            } else {
                commitIfFull();
                tables.refcounts().add(new HostRange(at, 1), change);
            }
            changed++;
        }
    }

    /// Takes references away from neighbours together, so that they are discarded together.
    private void collect(long cluster) throws BlockException {
        if (collected > 0 && (cluster != first + collected || collected == COLLECTED_MAX)) {
            freeCollected();
        }
        first = collected == 0 ? cluster : first;
        collected++;
    }

    private void freeCollected() throws BlockException {
        if (collected > 0) {
            commitIfFull();
            HostRange range = new HostRange(first, collected);
            collected = 0;
            tables.free(range, Freed.SNAPSHOT);
        }
    }

    private void commitIfFull() throws BlockException {
        if (tables.refcounts().isFull()) {
            tables.commit();
        }
    }

    private long[] table(int index) throws BlockException {
        long word = l1[index];
        if (L2Entry.isDamagedL1(word, geometry)) {
            throw file.corrupt("entry %d of an L1 table is 0x%x".formatted(index, word));
        }
        return file.readTable(
                "L2 table", L2Entry.offset(word), geometry.clusterBytes() / Long.BYTES);
    }
}
