package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.table.Entry;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.Mapping;
import dev.lockstep.block.qcow2.table.Mappings;

import java.nio.ByteBuffer;
import java.util.Set;

/// Zeroes and discards clusters by changing their mappings. The caller holds them exclusively.
///
/// Version 2 has no zero clusters: there a cluster can be given up only where nothing is behind it,
/// and everything else is left to the gate, which writes zeroes.
///
/// An external data file that is a raw image holds at any time what the guest sees, so there the
/// zeroes go to the file. The mappings stay: what they say is data is zero there, and the rest
/// reads as zeroes as it did before.
final class ClusterEraser {
    private final Image image;
    private final Mappings mappings;
    private final Geometry geometry;
    private final boolean hasZero;

    ClusterEraser(Image image) {
        this.image = image;
        mappings = image.tables().mappings();
        geometry = image.tables().geometry();
        hasZero = image.tables().header().current().version() >= 3;
    }

    /// @throws BlockException with `UNSUPPORTED` if [#zero] would have to write zeroes
    void checkZero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        if (!hasZero
                && (image.backing().bytes() > offset || !flags.contains(WriteFlag.MAY_UNMAP))
                && !image.readsAsZero(offset, length)) {
            throw BlockException.at(
                    Kind.UNSUPPORTED,
                    image.tables().file().gate(),
                    "zero",
                    offset,
                    length,
                    "images of version 2 have no zero clusters");
        }
    }

    /// Makes a range read as zeroes: whole clusters by their mapping, what is left by writing.
    ///
    /// @param toEnd the range reaches to the end of the disk, and thereby of its last cluster
    void zero(long offset, long length, boolean toEnd, Set<WriteFlag> flags, ClusterWriter writer)
            throws BlockException {
        if (image.rawData()) {
            image.data().zero(offset, length, flags);
            return;
        }
        int unit = geometry.subclusterBytes();
        long end = offset + length;
        long first = Math.min((offset + unit - 1) & -unit, end);
        long last = toEnd ? end : Math.max(end & -unit, first);
        writeZeroes(offset, first, writer);
        boolean unmap = flags.contains(WriteFlag.MAY_UNMAP);
        for (long at = first; at < last; ) {
            long skipped = alreadyZero(at, last - at);
            if (skipped > 0) {
                at += skipped;
                continue;
            }
            long next = Math.min(geometry.clusterStart(at) + geometry.clusterBytes(), last);
            Entry before = mappings.entry(at);
            boolean whole =
                    at == geometry.clusterStart(at)
                            && (next == at + geometry.clusterBytes() || (toEnd && next == last));
            if (whole) {
                set(at, before, zeroed(before, unmap), unmap ? Freed.REQUEST : Freed.OTHER);
            } else if (before.isCompressed()) {
                writeZeroes(at, next, writer);
            } else {
                mappings.set(at, partlyZeroed(before, at, next), Freed.OTHER);
            }
            at = next;
        }
        writeZeroes(last, end, writer);
    }

    /// Gives whole clusters up. They read as zeroes afterwards where that can be said.
    void discard(long offset, long length) throws BlockException {
        if (image.rawData()) {
            image.data().zero(offset, length, image.discards() ? WriteFlag.UNMAP : WriteFlag.NONE);
            return;
        }
        for (long at = offset; at < offset + length; ) {
            long skipped = alreadyZero(at, offset + length - at);
            if (skipped > 0) {
                at += skipped;
                continue;
            }
            boolean behind = image.backing().bytes() > at;
            if (!behind || hasZero) {
                Entry before = mappings.entry(at);
                Entry gone = behind ? Entry.ZERO : Entry.NONE;
                set(at, before, keepsPlace(before) ? zero(before) : gone, Freed.REQUEST);
            }
            at = geometry.clusterStart(at) + geometry.clusterBytes();
        }
    }

    /// Of a cluster whose first subclusters are skipped, `at` is not the beginning. Who holds the
    /// cluster exclusively can discard a place that it keeps: whatever crashes, zeroes are right.
    private void set(long at, Entry before, Entry after, Freed why) throws BlockException {
        mappings.set(at, after, why);
        boolean kept = after.isOwned() || image.dataElsewhere();
        if (why == Freed.REQUEST && image.discards() && before.isOwned() && kept) {
            long place = image.dataElsewhere() ? geometry.clusterStart(at) : before.host();
            image.data().release(place, geometry.clusterBytes());
        }
    }

    /// How much from here on needs nothing done: it reads as zeroes, and takes no space or is to
    /// keep it.
    private long alreadyZero(long offset, long length) throws BlockException {
        return switch (mappings.lookup(offset, length)) {
            case Mapping.Zero zero -> zero.allocated() && !image.keepsPlaces() ? 0 : zero.length();
            case Mapping.Unallocated nothing ->
                    offset >= image.backing().bytes() ? nothing.length() : 0;
            default -> 0;
        };
    }

    private Entry zeroed(Entry before, boolean unmap) {
        if (!hasZero) {
            return Entry.NONE;
        }
        boolean keeps = unmap ? keepsPlace(before) : before.isOwned();
        return keeps ? zero(before) : Entry.ZERO;
    }

    /// Whether the place of what is given up stays its own (`discard-no-unref`).
    private boolean keepsPlace(Entry before) {
        return image.keepsPlaces() && before.isOwned();
    }

    /// The entry of a cluster that reads as zeroes and keeps its place.
    private static Entry zero(Entry before) {
        return new Entry(before.word(), L2Entry.ALL_ZERO);
    }

    private Entry partlyZeroed(Entry before, long from, long to) {
        int unit = geometry.subclusterBytes();
        long inCluster = from - geometry.clusterStart(from);
        int first = (int) (inCluster / unit);
        int end = (int) Math.ceilDiv(inCluster + to - from, unit);
        long touched = (1L << end) - (1L << first);
        return new Entry(
                before.word(), (before.bitmap() & ~touched) | (touched << Geometry.SUBCLUSTERS));
    }

    private void writeZeroes(long from, long to, ClusterWriter writer) throws BlockException {
        if (from < to && !image.readsAsZero(from, to - from)) {
            writer.write(from, ByteBuffer.allocate((int) (to - from)));
        }
    }
}
