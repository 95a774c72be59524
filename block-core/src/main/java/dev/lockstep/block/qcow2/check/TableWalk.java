package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.Findings;
import dev.lockstep.block.format.MemoryBudget;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import java.nio.ByteBuffer;

/// Finds all L2 tables: first those of the disk, in its order, then those of snapshots alone, in
/// the file's order.
final class TableWalk {
    private static final int PIECE_BYTES = 1 << 20;

    private final ImageFile image;
    private final Geometry geometry;
    private final Findings findings;
    private final References references;
    private final TableReferences tables;
    private final boolean mend;

    /// @param mend whether L1 entries that cannot be are mended or dropped
    TableWalk(
            ImageFile image,
            Findings findings,
            References references,
            MemoryBudget budget,
            boolean mend) {
        this.image = image;
        geometry = image.geometry();
        this.findings = findings;
        this.references = references;
        this.mend = mend;
        tables = new TableReferences(budget);
    }

    /// Counts the L1 tables and what their entries point to.
    void readL1Tables() throws BlockException {
        Header header = image.header();
        L1Ranges bytes = new L1Ranges();
        L1Ranges clusters = new L1Ranges();
        add(bytes, clusters, header.l1Offset(), header.l1Entries());
        for (SnapshotEntry snapshot : image.snapshots()) {
            add(bytes, clusters, snapshot.l1Offset(), snapshot.l1Entries());
        }
        clusters.forEach(
                (start, end, count) ->
                        references.addFixed("an L1 table", start, end - start, count));
        bytes.forEach(this::readL1);
        tables.merge();
    }

    private void add(L1Ranges bytes, L1Ranges clusters, long offset, int entries)
            throws BlockException {
        long length = (long) entries * Long.BYTES;
        long end = offset + length;
        if (entries > 0 && (end < 0 || geometry.cluster(end - 1) >= references.clusters())) {
            findings.corruption(
                    "the L1 table at 0x%x lies beyond the end of the file".formatted(offset));
            if (mend) {
                image.growTo(end);
            }
            end = Math.min(end < 0 ? Long.MAX_VALUE : end, image.size());
        }
        if (offset < end) {
            bytes.add(offset, end);
            clusters.add(offset, geometry.clusterEnd(end));
        }
    }

    private void readL1(long start, long end, long weight) throws BlockException {
        for (long at = start; at < end; at += PIECE_BYTES) {
            ByteBuffer piece = image.read(at, (int) Math.min(PIECE_BYTES, end - at));
            boolean changed = false;
            for (int index = 0; index + Long.BYTES <= piece.limit(); index += Long.BYTES) {
                long word = piece.getLong(index);
                long mended = word == 0 ? 0 : l1Entry(word, at + index, weight);
                if (mended != word && mend) {
                    piece.putLong(index, mended);
                    changed = true;
                }
            }
            if (changed) {
                image.write(at, piece);
            }
        }
    }

    /// @return what the entry is to be
    private long l1Entry(long word, long at, long weight) throws BlockException {
        long mended = word;
        if (L2Entry.isDamagedL1(word, geometry)) {
            findings.corruption("the L1 entry at 0x%x cannot be: 0x%x".formatted(at, word));
            mended &= L2Entry.COPIED | L2Entry.OFFSET_MASK;
        }
        long offset = L2Entry.offset(word);
        boolean possible = offset != 0 && geometry.clusterStart(offset) == offset;
        if (!possible || (mend && references.isFixed(geometry.cluster(offset)))) {
            return 0;
        }
        if (!references.add("an L2 table", offset, geometry.clusterBytes(), weight)) {
            return 0;
        }
        tables.add(geometry.cluster(offset), weight);
        return mended;
    }

    /// Shows the visitor everything. What it changes is written.
    void walk(L2Visitor visitor) throws BlockException {
        Header header = image.header();
        long end = header.l1Offset() + (long) header.l1Entries() * Long.BYTES;
        for (long at = header.l1Offset(); at < end; at += PIECE_BYTES) {
            ByteBuffer piece = image.read(at, (int) Math.min(PIECE_BYTES, end - at));
            boolean changed = false;
            for (int index = 0; index < piece.limit(); index += Long.BYTES) {
                long word = piece.getLong(index);
                int found = find(word);
                if (found < 0) {
                    continue;
                }
                long wanted = visitor.activeEntry(word);
                if (wanted != word) {
                    piece.putLong(index, wanted);
                    changed = true;
                }
                visit(found, visitor, true);
            }
            if (changed) {
                image.write(at, piece);
            }
        }
        for (int index = 0; index < tables.size(); index++) {
            visit(index, visitor, false);
        }
    }

    private int find(long word) {
        long offset = L2Entry.offset(word);
        boolean possible = offset != 0 && geometry.clusterStart(offset) == offset;
        return possible ? tables.find(geometry.cluster(offset)) : -1;
    }

    private void visit(int index, L2Visitor visitor, boolean active) throws BlockException {
        if (!tables.visit(index)) {
            return;
        }
        long offset = tables.cluster(index) << geometry.clusterBits();
        ByteBuffer table;
        try {
            table = image.read(offset, geometry.clusterBytes());
        } catch (BlockException e) {
            findings.unreadable(e.getMessage());
            return;
        }
        long[] words = new long[table.remaining() / Long.BYTES];
        table.asLongBuffer().get(words);
        if (visitor.table(words, offset, tables.weight(index), active)) {
            table.asLongBuffer().put(words);
            image.write(offset, table);
        }
    }
}
