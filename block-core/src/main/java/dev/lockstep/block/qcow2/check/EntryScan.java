package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.Findings;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.L2Entry;

/// Counts what L2 entries point to, and judges the entries.
final class EntryScan implements L2Visitor {
    private final Header header;
    private final Geometry geometry;
    private final Findings findings;
    private final References references;
    private final boolean external;
    private final boolean mend;
    private final int words;
    private final long ordinaryOffsets;

    private long allocated;
    private long fragmented;
    private long compressed;

    /// Where the cluster after the last one would be if it were not fragmented, or 0.
    private long contiguous;

    /// @param mend whether entries that cannot be are mended or dropped
    EntryScan(ImageFile image, Findings findings, References references, boolean mend) {
        header = image.header();
        geometry = image.geometry();
        this.findings = findings;
        this.references = references;
        this.mend = mend;
        external = header.has(Feature.EXTERNAL_DATA);
        words = geometry.entryWords();
        ordinaryOffsets = L2Entry.OFFSET_MASK & -geometry.clusterBytes();
    }

    long allocated() {
        return allocated;
    }

    long fragmented() {
        return fragmented;
    }

    long compressed() {
        return compressed;
    }

    @Override
    public long activeEntry(long word) {
        long refcount = references.recorded(geometry.cluster(L2Entry.offset(word)));
        if (L2Entry.isCopied(word) != (refcount == 1)) {
            findings.corruption(
                    "L1 entry 0x%x: COPIED, and the refcount is %d".formatted(word, refcount));
        }
        return word;
    }

    @Override
    public boolean table(long[] table, long offset, long tables, boolean active)
            throws BlockException {
        boolean changed = false;
        contiguous = 0;
        for (int at = 0; at < table.length; at += words) {
            long word = table[at];
            long bitmap = geometry.extended() ? table[at + 1] : 0;
            if ((word == 0 && bitmap == 0) || isOrdinary(word, bitmap, tables, active)) {
                continue;
            }
            Entry entry = new Entry(offset + (long) at * Long.BYTES, word, bitmap);
            Entry wanted =
                    L2Entry.isCompressed(word)
                            ? compressed(entry, tables, active)
                            : standard(entry, tables, active);
            if (mend && !wanted.equals(entry)) {
                table[at] = wanted.word;
                if (geometry.extended()) {
                    table[at + 1] = wanted.bitmap;
                }
                changed = true;
            }
        }
        return changed;
    }

    /// Deals with an entry if it is what nearly all entries are: of one cluster of data, with
    /// nothing to say of it. Large images are checked at the speed of this.
    private boolean isOrdinary(long word, long bitmap, long tables, boolean active)
            throws BlockException {
        long offset = word & ordinaryOffsets;
        long cluster = geometry.cluster(offset);
        boolean copied = L2Entry.isCopied(word);
        if ((word & ~L2Entry.COPIED) != offset
                || offset == 0
                || bitmap != 0
                || external
                || cluster >= references.clusters()
                || (active && copied != (references.recorded(cluster) == 1))) {
            return false;
        }
        if (active) {
            place(offset);
        }
        references.addCluster(cluster, tables);
        return true;
    }

    /// @param at where it is in the file
    private record Entry(long at, long word, long bitmap) {
        Entry dropped() {
            return new Entry(at, 0, 0);
        }

        Entry with(long changed) {
            return new Entry(at, changed, bitmap);
        }

        Entry withBitmap(long changed) {
            return new Entry(at, word, changed);
        }
    }

    /// @return what the entry is to be
    private Entry compressed(Entry entry, long tables, boolean active) throws BlockException {
        if (external) {
            findings.corruption(
                    ("the L2 entry at 0x%x is of a compressed cluster, and the data are in a data"
                                    + " file")
                            .formatted(entry.at));
            return entry.dropped();
        }
        Entry wanted = entry;
        if (L2Entry.isCopied(entry.word) || entry.bitmap != 0) {
            findings.corruption(
                    "the L2 entry at 0x%x cannot be of a compressed cluster: 0x%x 0x%x"
                            .formatted(entry.at, entry.word, entry.bitmap));
            wanted = entry.with(entry.word & ~L2Entry.COPIED).withBitmap(0);
        }
        if (active) {
            allocated++;
            compressed++;
            fragmented++;
        }
        int bits = geometry.clusterBits();
        long start = L2Entry.compressedOffset(entry.word, bits);
        int bytes = L2Entry.compressedBytes(entry.word, bits);
        return references.add("a compressed cluster", start, bytes, tables)
                ? wanted
                : entry.dropped();
    }

    /// @return what the entry is to be
    private Entry standard(Entry entry, long tables, boolean active) throws BlockException {
        Entry wanted = entry;
        long offset = L2Entry.offset(entry.word);
        boolean hasPlace = offset != 0 || (external && L2Entry.isCopied(entry.word));
        if (hasReservedBits(entry.word)) {
            findings.corruption(
                    "the L2 entry at 0x%x has reserved bits set: 0x%x"
                            .formatted(entry.at, entry.word));
            wanted =
                    entry.with(
                            entry.word
                                    & (L2Entry.COPIED
                                            | L2Entry.OFFSET_MASK
                                            | (geometry.extended() ? 0 : L2Entry.ZERO)));
        }
        long bitmap = impossibleSubclusters(entry.bitmap, hasPlace);
        if (bitmap != 0) {
            findings.corruption(
                    "the L2 entry at 0x%x has impossible subclusters: 0x%x 0x%x"
                            .formatted(entry.at, entry.word, entry.bitmap));
            wanted = wanted.withBitmap(entry.bitmap & ~bitmap);
        }
        if (!hasPlace) {
            return wanted;
        }
        if (active) {
            place(offset);
        }
        return located(wanted, tables, active);
    }

    /// @return what an entry that has an offset is to be
    private Entry located(Entry entry, long tables, boolean active) throws BlockException {
        long offset = L2Entry.offset(entry.word);
        if (geometry.clusterStart(offset) != offset) {
            findings.corruption(
                    "the L2 entry at 0x%x is not aligned: 0x%x".formatted(entry.at, entry.word));
            return withoutPlace(entry);
        }
        if (external) {
            return entry;
        }
        if (!references.add("a cluster", offset, geometry.clusterBytes(), tables)) {
            return withoutPlace(entry);
        }
        long refcount = references.recorded(geometry.cluster(offset));
        if (active && L2Entry.isCopied(entry.word) != (refcount == 1)) {
            findings.corruption(
                    "the L2 entry at 0x%x is 0x%x: COPIED, and the refcount is %d"
                            .formatted(entry.at, entry.word, refcount));
        }
        return entry;
    }

    /// What reads as zeroes goes on doing so.
    private Entry withoutPlace(Entry entry) {
        if (geometry.extended()) {
            return new Entry(entry.at, 0, entry.bitmap & L2Entry.ALL_ZERO);
        }
        return (entry.word & L2Entry.ZERO) != 0 ? entry.with(L2Entry.ZERO) : entry.dropped();
    }

    private void place(long offset) {
        allocated++;
        fragmented += contiguous != 0 && offset != contiguous ? 1 : 0;
        contiguous = offset + geometry.clusterBytes();
    }

    private boolean hasReservedBits(long word) {
        long aligned = word & ~L2Entry.OFFSET_MASK;
        return L2Entry.isDamaged(aligned, geometry);
    }

    /// The bits of a bitmap that cannot be.
    private long impossibleSubclusters(long bitmap, boolean hasPlace) {
        long both = bitmap & (bitmap >>> 32) & L2Entry.ALL_ALLOCATED;
        return hasPlace ? both : bitmap & L2Entry.ALL_ALLOCATED;
    }
}
