package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.bitmaps.ImageBitmaps;
import dev.lockstep.block.qcow2.bitmaps.PersistentBitmap;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Features;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.HeaderBuilder;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;
import dev.lockstep.block.qcow2.table.Entry;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.Mapping;
import dev.lockstep.block.qcow2.table.Tables;

import java.nio.ByteBuffer;
import java.util.List;

/// Makes an image one of another version, or with other features. What is not possible is refused
/// before anything changes; what is, is one change of the header, after an image of version 2 has
/// got along without what that does not know: zero clusters and bitmaps.
final class Amender {
    private static final int STEP_BYTES = 2 << 20;

    private final Qcow2Device device;
    private final Image image;
    private final Tables tables;
    private final Geometry geometry;
    private final List<SnapshotEntry> snapshots;

    Amender(Qcow2Device device, Image image, List<SnapshotEntry> snapshots) {
        this.device = device;
        this.image = image;
        this.snapshots = snapshots;
        tables = image.tables();
        geometry = tables.geometry();
    }

    void run(Amendment changes) throws BlockException {
        Header before = tables.header().current();
        Integer wanted = changes.version();
        int version = wanted == null ? before.version() : wanted;
        check(changes, before, version);
        if (version < before.version()) {
            dropBitmaps();
            dropZeroClusters();
        }
        tables.settle();
        if (version < before.version()) {
            for (SnapshotEntry snapshot : snapshots) {
                eachL2Table(snapshot, this::withoutZeroClusters);
            }
        }
        tables.header().update(header -> changed(header, changes, version));
        tables.file().sync();
    }

    private static Header changed(Header before, Amendment changes, int version) {
        HeaderBuilder header = before.but().version(version);
        if (version < before.version()) {
            return header.features(Features.NONE).build();
        }
        if (changes.lazyRefcounts() != null) {
            header.feature(Feature.LAZY_REFCOUNTS, changes.lazyRefcounts());
        }
        if (changes.dataFile() != null) {
            header.externalDataFile(changes.dataFile());
        }
        if (changes.rawDataFile() != null) {
            header.feature(Feature.RAW_EXTERNAL, changes.rawDataFile());
        }
        return header.build();
    }

    private void check(Amendment changes, Header before, int version) throws BlockException {
        boolean lazy = Boolean.TRUE.equals(changes.lazyRefcounts());
        boolean raw = Boolean.TRUE.equals(changes.rawDataFile());
        require(!lazy || version >= 3, "lazy_refcounts needs an image of version 3 (compat=1.1)");
        require(
                changes.dataFile() == null || before.has(Feature.EXTERNAL_DATA),
                "data_file is for an image that has an external data file");
        require(
                !raw || before.has(Feature.RAW_EXTERNAL),
                "data_file_raw cannot be set on an image that exists");
        if (version < before.version()) {
            checkOld(before);
        }
    }

    /// Refuses what version 2 does not know.
    private void checkOld(Header before) throws BlockException {
        String no = "it cannot become one of version 2: ";
        require(!before.has(Feature.EXTERNAL_DATA), no + "it has an external data file");
        require(!before.has(Feature.COMPRESSION_TYPE), no + "its clusters are not zlib's");
        require(!before.has(Feature.EXTENDED_L2), no + "it has extended L2 entries");
        require(
                before.refcountOrder() == Header.REFCOUNT_ORDER_DEFAULT,
                no + "its refcounts do not have 16 bits (refcount_bits=16)");
        for (SnapshotEntry snapshot : snapshots) {
            boolean plain =
                    snapshot.vmStateBytes() == 0
                            && snapshot.diskBytes().orElse(before.size()) == before.size();
            require(
                    plain,
                    no
                            + "its snapshot '%s' has another length or a saved state"
                                    .formatted(snapshot.name()));
            eachL2Table(snapshot, (_, table) -> checkZeroClusters(no, snapshot, table));
        }
    }

    private void require(boolean possible, String reason) throws BlockException {
        if (!possible) {
            throw new BlockException(
                    Kind.UNSUPPORTED, "%s: %s".formatted(tables.file().description(), reason));
        }
    }

    /// In a snapshot, only what needs no new place goes: a zero cluster that has none, where
    /// nothing is below.
    private void checkZeroClusters(String no, SnapshotEntry snapshot, long[] table)
            throws BlockException {
        for (long entry : table) {
            require(
                    !isZero(entry) || (image.backing().bytes() == 0 && L2Entry.offset(entry) == 0),
                    no
                            + "its snapshot '%s' has zero clusters with a place or over a backing file"
                                    .formatted(snapshot.name()));
        }
    }

    private static boolean isZero(long entry) {
        return !L2Entry.isCompressed(entry) && (entry & L2Entry.ZERO) != 0;
    }

    /// Images that share the table see the same in it as before, also after a crash.
    private void withoutZeroClusters(long offset, long[] table) throws BlockException {
        boolean changed = false;
        for (int index = 0; index < table.length; index++) {
            if (isZero(table[index])) {
                table[index] = 0;
                changed = true;
            }
        }
        if (changed) {
            tables.file().write(offset, HostFile.bytes(table));
        }
    }

    private interface L2Work {
        void take(long offset, long[] table) throws BlockException;
    }

    private void eachL2Table(SnapshotEntry snapshot, L2Work work) throws BlockException {
        int entries = geometry.clusterBytes() / Long.BYTES;
        for (long word :
                tables.file()
                        .readTable(
                                "L1 table of a snapshot",
                                snapshot.l1Offset(),
                                snapshot.l1Entries())) {
            long offset = L2Entry.offset(word);
            if (offset != 0) {
                work.take(offset, tables.file().readTable("L2 table", offset, entries));
            }
        }
    }

    /// Version 2 has no way to say that they are up to date.
    private void dropBitmaps() throws BlockException {
        ImageBitmaps bitmaps = device.bitmaps();
        for (PersistentBitmap each : List.copyOf(bitmaps.all())) {
            bitmaps.remove(each.name());
        }
        bitmaps.end(tables);
    }

    /// Where nothing is below the image, what is not mapped reads as zeroes too; elsewhere zeroes
    /// are written.
    private void dropZeroClusters() throws BlockException {
        Gate gate = new Gate(device);
        ByteBuffer zeroes = ByteBuffer.allocate(STEP_BYTES);
        for (long at = 0; at < device.size(); ) {
            Mapping found = tables.mappings().lookup(at, device.size() - at);
            if (!(found instanceof Mapping.Zero)) {
                at += found.length();
                continue;
            }
            int step = (int) Math.min(found.length(), STEP_BYTES);
            tables.beforeChange();
            if (at < image.backing().bytes()) {
                gate.write(at, zeroes.slice(0, step), WriteFlag.NONE);
                at += step;
            } else {
                tables.mappings().set(at, Entry.NONE, Freed.OTHER);
                at = Math.min(device.size(), geometry.clusterStart(at) + geometry.clusterBytes());
            }
        }
    }
}
