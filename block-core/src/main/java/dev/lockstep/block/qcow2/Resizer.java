package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.table.Entry;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.HostRange;
import dev.lockstep.block.qcow2.table.Mapping;
import dev.lockstep.block.qcow2.table.Tables;

import java.util.Arrays;

/// What becoming longer or shorter means for the tables of an image. No request is in flight.
final class Resizer {
    private static final int SECTOR_BYTES = 512;

    private final Image image;
    private final Tables tables;
    private final Geometry geometry;

    Resizer(Image image) {
        this.image = image;
        tables = image.tables();
        geometry = tables.geometry();
    }

    /// Says in one sentence why the disk cannot become so long, if it cannot.
    void check(long bytes) throws BlockException {
        Header header = tables.header().current();
        require(
                bytes >= 0 && bytes % SECTOR_BYTES == 0,
                Kind.INVALID,
                "its length is a multiple of %d bytes, not %d".formatted(SECTOR_BYTES, bytes));
        require(
                geometry.l1Entries(bytes) <= Header.L1_ENTRIES_MAX,
                Kind.INVALID,
                "%d bytes are too many for clusters of %d bytes"
                        .formatted(bytes, geometry.clusterBytes()));
        require(
                header.version() >= 3 || header.snapshotCount() == 0,
                Kind.UNSUPPORTED,
                "an image of version 2 that has snapshots cannot be resized");
    }

    private void require(boolean possible, Kind kind, String reason) throws BlockException {
        if (!possible) {
            throw new BlockException(kind, "%s: %s".formatted(tables.file().description(), reason));
        }
    }

    /// Makes the L1 table, and an external data file, long enough.
    void makeRoom(long bytes) throws BlockException {
        if (image.dataElsewhere()) {
            image.data().grow(bytes);
        }
        Header before = tables.header().current();
        int entries = (int) geometry.l1Entries(bytes);
        if (entries <= before.l1Entries()) {
            return;
        }
        settle();
        long[] l1 = Arrays.copyOf(tables.mappings().l1Table(), entries);
        tables.file().before(Step.L1_GROW_ALLOC_TABLE);
        HostRange place =
                tables.refcounts().allocateTable(geometry.clusters((long) entries * Long.BYTES));
        long offset = place.cluster() << geometry.clusterBits();
        tables.file().before(Step.L1_GROW_WRITE_TABLE);
        tables.file().write(offset, HostFile.bytes(l1));
        tables.commit();
        tables.file().before(Step.L1_GROW_ACTIVATE_TABLE);
        tables.header().update(header -> header.withL1(offset, entries));
        tables.file().sync();
        tables.mappings().restart(l1);
        tables.guard();
        long old = Math.max(1, geometry.clusters((long) before.l1Entries() * Long.BYTES));
        tables.free(new HostRange(geometry.cluster(before.l1Offset()), old), Freed.OTHER);
    }

    /// Gives everything up that lies beyond a length.
    void drop(long bytes, long before) throws BlockException {
        long end = geometry.clusterEnd(before);
        for (long at = geometry.clusterEnd(bytes); at < end; ) {
            Mapping found = tables.mappings().lookup(at, end - at);
            if (found instanceof Mapping.Unallocated) {
                at += found.length();
                continue;
            }
            tables.beforeChange();
            tables.mappings().set(at, Entry.NONE, Freed.CUT);
            at = geometry.clusterStart(at) + geometry.clusterBytes();
        }
        settle();
        int first = (int) geometry.l1Entries(bytes);
        int last = (int) geometry.l1Entries(before);
        long[] l1 = tables.mappings().l1Table();
        long[] gone = Arrays.copyOfRange(l1, first, last);
        Arrays.fill(l1, first, last, 0);
        long start = tables.header().current().l1Offset() + (long) first * Long.BYTES;
        tables.file().before(Step.L1_SHRINK_WRITE_TABLE);
        tables.file().write(start, HostFile.bytes(new long[gone.length]));
        tables.mappings().restart(l1);
        tables.file().sync();
        tables.file().before(Step.L1_SHRINK_FREE_L2_CLUSTERS);
        for (long word : gone) {
            if (L2Entry.offset(word) != 0) {
                long cluster = geometry.cluster(L2Entry.offset(word));
                tables.free(new HostRange(cluster, 1), Freed.CUT);
            }
        }
    }

    /// Has the header tell the new length.
    void publish(long bytes) throws BlockException {
        tables.commit();
        tables.header().update(header -> header.withSize(bytes));
        tables.commit();
        if (image.rawData() && image.data().size() > bytes) {
            image.data().gate().resize(bytes);
        }
    }

    /// Brings the tables in the file up to date.
    private void settle() throws BlockException {
        tables.commit();
        // What the first one unmapped is given back only now.
        tables.commit();
    }
}
