package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.CopyBuffers;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.table.Allocated;
import dev.lockstep.block.qcow2.table.Entry;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.HostRange;
import dev.lockstep.block.qcow2.table.Mapping;
import dev.lockstep.block.qcow2.table.Mappings;
import dev.lockstep.block.qcow2.table.Tables;

import java.nio.ByteBuffer;

/// Writes to clusters that cannot be written in place. The caller holds them exclusively.
///
/// New clusters are written whole as far as they are mapped: what the request does not cover is
/// copied from what was there before, unless both that and the new cluster are known to be zero.
/// With extended entries, only the subclusters that are touched are mapped where the cluster had no
/// place before.
final class ClusterWriter {
    private final Image image;
    private final Tables tables;
    private final Mappings mappings;
    private final Geometry geometry;
    private final boolean dataElsewhere;

    ClusterWriter(Image image) {
        this.image = image;
        tables = image.tables();
        mappings = tables.mappings();
        geometry = tables.geometry();
        dataElsewhere = image.dataElsewhere();
    }

    /// Writes all of the buffer.
    void write(long offset, ByteBuffer source) throws BlockException {
        int end = source.limit();
        while (source.hasRemaining()) {
            Mapping found = mappings.lookup(offset, source.remaining());
            int before = source.position();
            if (found instanceof Mapping.Data at && at.writable()) {
                source.limit(before + (int) at.length());
                tables.file().before(Step.WRITE_AIO);
                image.data().write(at.host(), source);
            } else {
                writeNew(offset, source);
            }
            source.limit(end);
            offset += source.position() - before;
        }
    }

    /// Writes some of the buffer, at least a byte.
    private void writeNew(long offset, ByteBuffer source) throws BlockException {
        Entry entry = mappings.entry(offset);
        long start = geometry.clusterStart(offset);
        if (entry.isOwned()) {
            long end = Math.min(start + geometry.clusterBytes(), offset + source.remaining());
            source.limit(source.position() + (int) (end - offset));
            long host = dataElsewhere ? start : entry.host();
            Piece piece = new Piece(offset, end, start, host, false);
            map(piece, put(piece, entry, source));
            return;
        }
        Allocated place = allocate(start, clustersToPlace(offset, source.remaining()));
        boolean done = false;
        try {
            long placed = place.range().count() << geometry.clusterBits();
            long end = Math.min(start + placed, offset + source.remaining());
            source.limit(source.position() + (int) (end - offset));
            long host = place.range().cluster() << geometry.clusterBits();
            Piece piece = new Piece(offset, end, start, host, place.zero());
            Filled filled = put(piece, entry, source);
            // From here on some of the clusters may be mapped: if that fails, the rest is leaked.
            done = true;
            map(piece, filled);
        } finally {
            if (!done && !dataElsewhere) {
                tables.refcounts().release(place.range());
            }
        }
    }

    private Allocated allocate(long guest, long clusters) throws BlockException {
        return dataElsewhere
                ? new Allocated(new HostRange(geometry.cluster(guest), clusters), false)
                : tables.refcounts().allocate(clusters);
    }

    /// How many clusters in a row need a place.
    private long clustersToPlace(long offset, int length) throws BlockException {
        long count = 1;
        long next = geometry.clusterStart(offset) + geometry.clusterBytes();
        while (next < offset + length && !mappings.entry(next).isOwned()) {
            count++;
            next += geometry.clusterBytes();
        }
        return count;
    }

    /// Some of a request, and the clusters that take it.
    ///
    /// @param from where it begins on the guest's disk
    /// @param to where it ends, exclusive
    /// @param start the beginning of its first cluster
    /// @param host where that cluster lies
    /// @param fresh whether the clusters there are known to be zero
    private record Piece(long from, long to, long start, long host, boolean fresh) {
        long host(long guest) {
            return host + guest - start;
        }
    }

    /// What of a piece's clusters has been written: `[from, to)` of the guest's disk.
    private record Filled(long from, long to) {}

    /// Writes a piece together with what is around it.
    private Filled put(Piece piece, Entry firstBefore, ByteBuffer source) throws BlockException {
        long lastCluster = geometry.clusterStart(piece.to() - 1);
        Entry lastBefore = lastCluster == piece.start() ? firstBefore : mappings.entry(lastCluster);
        long fillFrom =
                keepsParts(firstBefore)
                        ? piece.from() & -geometry.subclusterBytes()
                        : piece.start();
        long fillTo =
                keepsParts(lastBefore)
                        ? (piece.to() + geometry.subclusterBytes() - 1)
                                & -geometry.subclusterBytes()
                        : lastCluster + geometry.clusterBytes();
        fillFrom = Math.max(fillFrom, piece.start());
        long total = fillTo - fillFrom;
        boolean bare =
                piece.fresh()
                        && image.readsAsZero(fillFrom, piece.from() - fillFrom)
                        && image.readsAsZero(piece.to(), fillTo - piece.to());
        if (bare || total == source.remaining()) {
            tables.file().before(Step.WRITE_AIO);
            image.data().write(piece.host(piece.from()), source);
        } else if (total <= CopyBuffers.BYTES) {
            writeTogether(piece, fillFrom, fillTo, source);
        } else {
            copy(piece, fillFrom, piece.from());
            copy(piece, piece.to(), fillTo);
            tables.file().before(Step.WRITE_AIO);
            image.data().write(piece.host(piece.from()), source);
        }
        return new Filled(fillFrom, fillTo);
    }

    /// Whether the subclusters that are not touched stay what they are. Not so where the cluster
    /// has a place that it shares, or is compressed: there everything is copied.
    private boolean keepsParts(Entry before) {
        return geometry.extended()
                && !before.isCompressed()
                && (before.isOwned() || before.host() == 0);
    }

    private void writeTogether(Piece piece, long from, long to, ByteBuffer source)
            throws BlockException {
        ByteBuffer whole = CopyBuffers.take();
        try {
            tables.file().before(Step.COW_READ);
            image.read(from, whole.limit((int) (piece.from() - from)));
            whole.limit(whole.capacity()).put(source);
            image.read(piece.to(), whole.limit((int) (to - from)));
            tables.file().before(Step.WRITE_AIO);
            image.data().write(piece.host(from), whole.flip());
        } finally {
            CopyBuffers.giveBack(whole);
        }
    }

    /// Copies what the guest sees at a range to the range's new place.
    private void copy(Piece piece, long from, long to) throws BlockException {
        ByteBuffer buffer = CopyBuffers.take();
        try {
            for (long at = from; at < to; at += buffer.limit()) {
                buffer.clear().limit((int) Math.min(buffer.capacity(), to - at));
                tables.file().before(Step.COW_READ);
                image.read(at, buffer);
                buffer.flip();
                if (!piece.fresh() || !Zeroes.fill(buffer)) {
                    tables.file().before(Step.COW_WRITE);
                    image.data().write(piece.host(at), buffer);
                }
            }
        } finally {
            CopyBuffers.giveBack(buffer);
        }
    }

    private void map(Piece piece, Filled filled) throws BlockException {
        for (long at = piece.start(); at < filled.to(); at += geometry.clusterBytes()) {
            long host = dataElsewhere ? at : piece.host(at);
            mappings.set(at, mapped(mappings.entry(at), at, host, filled), Freed.OTHER);
        }
    }

    /// The new entry of a cluster.
    private Entry mapped(Entry before, long cluster, long host, Filled filled) {
        if (!geometry.extended() || !keepsParts(before)) {
            return Entry.data(host);
        }
        int unit = geometry.subclusterBytes();
        int first = (int) (Math.max(filled.from() - cluster, 0) / unit);
        int end = (int) (Math.min(filled.to() - cluster, geometry.clusterBytes()) / unit);
        long touched = (1L << end) - (1L << first);
        long zero = before.bitmap() & ~(touched << Geometry.SUBCLUSTERS);
        return new Entry(host | L2Entry.COPIED, zero | touched);
    }
}
