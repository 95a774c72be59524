package dev.lockstep.block.qcow2.snapshot;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.HostRange;
import dev.lockstep.block.qcow2.table.ImageHeader;
import dev.lockstep.block.qcow2.table.Tables;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;

/// The internal snapshots of an open image. While one of these methods runs no request is in flight
/// on the image.
public final class Snapshots {
    /// Its length has 16 bits.
    private static final int NAME_BYTES_MAX = 0xffff;

    private final Tables tables;
    private final HostFile file;
    private final ImageHeader header;
    private final Geometry geometry;
    private List<SnapshotEntry> entries;

    /// Where the snapshot table is, or null if there is none.
    private @Nullable HostRange place;

    private Snapshots(Tables tables) throws BlockException {
        this.tables = tables;
        file = tables.file();
        header = tables.header();
        geometry = tables.geometry();
        SnapshotList table = SnapshotList.read(file.gate(), header.current());
        entries = table.entries();
        place = range(header.current().snapshotsOffset(), table.bytes());
    }

    /// Reads the snapshot table of an image.
    public static Snapshots of(Tables tables) throws BlockException {
        return new Snapshots(tables);
    }

    /// The snapshots in the order of the table.
    public List<SnapshotEntry> list() {
        return entries;
    }

    /// Makes a snapshot of the disk as it is.
    ///
    /// @param name what people call it; it need not be the only one of that name
    public SnapshotEntry create(String name, Instant now) throws BlockException {
        checkPossible(name);
        begin();
        long[] l1 = tables.mappings().l1Table();
        ClusterTree active = new ClusterTree(tables, l1);
        hold(active);
        HostRange copy = allocate((long) l1.length * Long.BYTES);
        long[] inactive = Arrays.stream(l1).map(word -> word & ~L2Entry.COPIED).toArray();
        file.write(start(copy), HostFile.bytes(inactive));
        tables.commit();
        flagActive();
        SnapshotEntry entry =
                new SnapshotEntry(
                        nextId(),
                        name,
                        start(copy),
                        l1.length,
                        now.getEpochSecond(),
                        now.getNano(),
                        0,
                        0,
                        OptionalLong.of(header.current().size()),
                        OptionalLong.empty(),
                        ByteBuffer.allocate(0));
        List<SnapshotEntry> all = new ArrayList<>(entries);
        all.add(entry);
        replaceTable(all);
        tables.settle();
        return entry;
    }

    /// Makes the disk what it was, also in its length. The snapshot stays.
    public void apply(SnapshotEntry entry) throws BlockException {
        Header before = header.current();
        long size = entry.diskBytes().orElse(before.size());
        begin();
        int entries = (int) Math.max(entry.l1Entries(), geometry.l1Entries(size));
        long[] l1 = Arrays.copyOf(l1(entry), entries);
        ClusterTree old = new ClusterTree(tables, tables.mappings().l1Table());
        ClusterTree applied = new ClusterTree(tables, l1);
        hold(applied);
        HostRange copy = allocate((long) l1.length * Long.BYTES);
        tables.commit();
        long[] flagged = applied.flag();
        file.write(start(copy), HostFile.bytes(flagged));
        file.sync();
        header.update(h -> h.withL1(start(copy), flagged.length).withSize(size));
        tables.mappings().restart(flagged);
        file.sync();
        tables.guard();
        old.release();
        release(range(before.l1Offset(), Math.max(1, before.l1Entries() * (long) Long.BYTES)));
        tables.settle();
    }

    /// Deletes a snapshot.
    ///
    /// @param idOrName an id, or else a name
    public SnapshotEntry delete(String idOrName) throws BlockException {
        SnapshotEntry entry = find(idOrName);
        ClusterTree tree = new ClusterTree(tables, l1(entry));
        begin();
        List<SnapshotEntry> rest = new ArrayList<>(entries);
        rest.remove(entry);
        replaceTable(rest);
        tree.release();
        release(range(entry.l1Offset(), entry.l1Entries() * (long) Long.BYTES));
        tables.commit();
        flagActive();
        tables.settle();
        return entry;
    }

    /// The snapshot with this id, or else the first of this name.
    public SnapshotEntry find(String idOrName) throws BlockException {
        return new SnapshotList(file.description(), entries, 0).find(idOrName);
    }

    private void checkPossible(String name) throws BlockException {
        String reason =
                header.current().has(Feature.EXTERNAL_DATA)
                        ? "an image with an external data file cannot have internal snapshots"
                        : entries.size() >= Header.SNAPSHOTS_MAX
                                ? "it has %d snapshots, the most that are possible"
                                        .formatted(entries.size())
                                : name.getBytes(StandardCharsets.UTF_8).length > NAME_BYTES_MAX
                                        ? "the snapshot's name is longer than 65535 bytes"
                                        : null;
        if (reason != null) {
            throw new BlockException(
                    Kind.UNSUPPORTED, "%s: %s".formatted(file.description(), reason));
        }
    }

    /// Brings the tables in the file up to date, and marks the image.
    private void begin() throws BlockException {
        tables.commit();
        // What the first one unmapped is given back only now.
        tables.commit();
        if (header.current().version() >= 3) {
            header.mark(Feature.DIRTY, true);
        }
    }

    private void hold(ClusterTree tree) throws BlockException {
        boolean done = false;
        try {
            tree.hold();
            done = true;
        } finally {
            if (!done) {
                tables.settle();
            }
        }
    }

    /// Puts the COPIED flags of the active tables right.
    private void flagActive() throws BlockException {
        long[] flagged = new ClusterTree(tables, tables.mappings().l1Table()).flag();
        file.write(header.current().l1Offset(), HostFile.bytes(flagged));
        tables.mappings().restart(flagged);
        file.sync();
    }

    private void replaceTable(List<SnapshotEntry> changed) throws BlockException {
        ByteBuffer bytes = SnapshotEntry.encodeTable(changed);
        HostRange old = place;
        HostRange fresh = changed.isEmpty() ? null : allocate(bytes.remaining());
        if (fresh != null) {
            file.write(start(fresh), bytes);
        }
        tables.commit();
        long offset = fresh == null ? 0 : start(fresh);
        header.update(h -> h.withSnapshots(offset, changed.size()));
        file.sync();
        entries = List.copyOf(changed);
        place = fresh;
        release(old);
    }

    private HostRange allocate(long bytes) throws BlockException {
        return tables.refcounts().allocateTable(Math.max(1, geometry.clusters(bytes)));
    }

    private void release(@Nullable HostRange range) throws BlockException {
        if (range != null) {
            tables.free(range, Freed.SNAPSHOT);
        }
    }

    private @Nullable HostRange range(long offset, long bytes) {
        return bytes == 0
                ? null
                : new HostRange(geometry.cluster(offset), geometry.clusters(bytes));
    }

    private long start(HostRange range) {
        return range.cluster() << geometry.clusterBits();
    }

    private long[] l1(SnapshotEntry entry) throws BlockException {
        return file.readTable("L1 table of a snapshot", entry.l1Offset(), entry.l1Entries());
    }

    private String nextId() {
        long last = 0;
        for (SnapshotEntry entry : entries) {
            if (entry.id().matches("\\d{1,18}")) {
                last = Math.max(last, Long.parseLong(entry.id()));
            }
        }
        return Long.toString(last + 1);
    }
}
