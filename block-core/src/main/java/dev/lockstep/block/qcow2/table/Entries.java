package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;

import org.jspecify.annotations.Nullable;

/// Reads and writes entries in slices, standard and extended ones alike.
///
/// @param dataElsewhere guest data lies in an external data file, where nothing is counted
record Entries(Geometry geometry, boolean dataElsewhere) {
    /// What a subcluster is.
    enum State {
        UNALLOCATED,
        ZERO,
        DATA
    }

    /// The entry whose first word is at an index.
    Entry get(Slice slice, int at) {
        if (geometry.extended()) {
            return extended(slice, at);
        }
        long word = slice.word(at);
        if (L2Entry.isCompressed(word)) {
            return new Entry(word, 0);
        }
        if ((word & L2Entry.ZERO) != 0) {
            return new Entry(word & ~L2Entry.ZERO, L2Entry.ALL_ZERO);
        }
        boolean allocated = L2Entry.offset(word) != 0 || isElsewhere(word);
        return new Entry(word, allocated ? L2Entry.ALL_ALLOCATED : 0);
    }

    private static Entry extended(Slice slice, int at) {
        while (true) {
            int changes = slice.changes();
            long word = slice.word(at);
            long bitmap = slice.word(at + 1);
            if ((changes & 1) == 0 && slice.changes() == changes) {
                return new Entry(word, L2Entry.isCompressed(word) ? 0 : bitmap);
            }
        }
    }

    /// Writes the entry whose first word is at an index.
    void put(Slice slice, int at, Entry entry) {
        if (geometry.extended()) {
            slice.words(at, entry.word(), entry.bitmap());
        } else if (!entry.isCompressed() && entry.bitmap() == L2Entry.ALL_ZERO) {
            slice.word(at, entry.word() | L2Entry.ZERO);
        } else {
            slice.word(at, entry.word());
        }
    }

    /// Whether the entry of the guest's cluster at `guest` makes no sense. In an external data file
    /// each cluster lies where the guest sees it.
    boolean isDamaged(Entry entry, long guest) {
        boolean misplaced = isPlaced(entry) && entry.host() != guest;
        if (dataElsewhere && (misplaced || entry.isCompressed())) {
            return true;
        }
        boolean placeless = (entry.bitmap() & L2Entry.ALL_ALLOCATED) != 0 && !isPlaced(entry);
        return placeless
                || L2Entry.isDamaged(entry.word(), geometry)
                || L2Entry.isDamagedBitmap(entry.bitmap());
    }

    /// What the subcluster is that a byte of the guest's disk is in.
    State state(Entry entry, long offset) {
        int inCluster = (int) offset & (geometry.clusterBytes() - 1);
        int part = inCluster / geometry.subclusterBytes();
        if ((entry.bitmap() >>> (Geometry.SUBCLUSTERS + part) & 1) != 0) {
            return State.ZERO;
        }
        return (entry.bitmap() >>> part & 1) != 0 ? State.DATA : State.UNALLOCATED;
    }

    /// The clusters of the file that an entry referred to and its successor does not, or null.
    @Nullable HostRange unmapped(Entry before, Entry after) {
        if (before.isCompressed()) {
            return before.word() == after.word() ? null : compressed(before.word());
        }
        long host = before.host();
        return host == 0 || host == after.host() || dataElsewhere
                ? null
                : new HostRange(geometry.cluster(host), 1);
    }

    private HostRange compressed(long word) {
        long host = L2Entry.compressedOffset(word, geometry.clusterBits());
        int bytes = L2Entry.compressedBytes(word, geometry.clusterBits());
        long first = geometry.cluster(host);
        return new HostRange(first, geometry.cluster(host + bytes - 1) - first + 1);
    }

    private boolean isPlaced(Entry entry) {
        return entry.host() != 0 || isElsewhere(entry.word());
    }

    private boolean isElsewhere(long word) {
        return dataElsewhere && L2Entry.isCopied(word);
    }
}
