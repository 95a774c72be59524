package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.layout.BitmapEntry;
import dev.lockstep.block.qcow2.layout.BitmapsExtension;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;
import dev.lockstep.block.qcow2.snapshot.SnapshotList;
import dev.lockstep.qmp.Json;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.List;

/// What a qcow2 image says of itself, with the names that QEMU's schema has.
///
/// @param snapshots its internal snapshots
/// @param bitmaps its persistent bitmaps
public record QcowFacts(Header header, List<SnapshotEntry> snapshots, List<BitmapEntry> bitmaps)
        implements FormatFacts {
    private static final long NANOS = 1_000_000_000;

    static QcowFacts read(Gate file) throws BlockException {
        String name = file.description();
        ByteBuffer probe = bytes(file, 0, Math.min(Header.PROBE_BYTES, file.size()));
        int clusterBytes = Header.clusterBytes(probe, name);
        ByteBuffer head = bytes(file, 0, Math.min(clusterBytes, file.size()));
        Header header = Header.parse(head, file.size(), name);
        return new QcowFacts(
                header, SnapshotList.read(file, header).entries(), bitmaps(file, header));
    }

    private static ByteBuffer bytes(Gate file, long offset, long length) throws BlockException {
        ByteBuffer bytes = ByteBuffer.allocate((int) length);
        file.read(offset, bytes);
        return bytes.flip();
    }

    private static List<BitmapEntry> bitmaps(Gate file, Header header) throws BlockException {
        BitmapsExtension where = header.bitmaps();
        if (where == null) {
            return List.of();
        }
        ByteBuffer directory = bytes(file, where.directoryOffset(), where.directoryBytes());
        return BitmapEntry.parseDirectory(directory, header, file.description());
    }

    @Override
    public long bytes() {
        return header.size();
    }

    @Override
    public int clusterBytes() {
        return header.clusterBytes();
    }

    @Override
    public @Nullable String backingFile() {
        return header.backingFile();
    }

    @Override
    public @Nullable String backingFormat() {
        return header.backingFormat();
    }

    @Override
    public boolean isDirty() {
        return header.has(Feature.DIRTY);
    }

    /// It is beyond the disk.
    @Override
    public long stateOffset() {
        Geometry geometry = header.geometry();
        return geometry.l1Entries(header.size()) * geometry.l2Coverage();
    }

    /// `ImageInfoSpecificQCow2`.
    @Override
    public ObjectNode specific() {
        boolean modern = header.version() > 2;
        ObjectNode data = Json.object();
        data.put("compat", modern ? "1.1" : "0.10");
        data.put("compression-type", header.compression().label());
        if (modern) {
            data.put("lazy-refcounts", header.has(Feature.LAZY_REFCOUNTS));
        }
        if (!bitmaps.isEmpty()) {
            data.set("bitmaps", bitmapFacts());
        }
        data.put("refcount-bits", 1 << header.refcountOrder());
        if (header.has(Feature.EXTERNAL_DATA)) {
            data.put("data-file", header.externalDataFile());
            data.put("data-file-raw", header.has(Feature.RAW_EXTERNAL));
        }
        if (modern) {
            data.put("corrupt", header.has(Feature.CORRUPT));
            data.put("extended-l2", header.has(Feature.EXTENDED_L2));
        }
        return data;
    }

    private ArrayNode bitmapFacts() {
        ArrayNode list = Json.array();
        for (BitmapEntry bitmap : bitmaps) {
            ObjectNode one = list.addObject();
            ArrayNode flags = one.putArray("flags");
            if (bitmap.inUse()) {
                flags.add("in-use");
            }
            if (bitmap.auto()) {
                flags.add("auto");
            }
            one.put("name", bitmap.name());
            one.put("granularity", 1L << bitmap.granularityBits());
        }
        return list;
    }

    /// `SnapshotInfo`, each.
    static ArrayNode snapshotFacts(List<SnapshotEntry> snapshots) {
        ArrayNode list = Json.array();
        for (SnapshotEntry each : snapshots) {
            ObjectNode one = list.addObject();
            one.put("id", each.id());
            one.put("name", each.name());
            one.put("vm-state-size", each.vmStateBytes());
            one.put("date-sec", each.dateSeconds());
            one.put("date-nsec", each.dateNanos());
            one.put("vm-clock-sec", each.vmClockNanos() / NANOS);
            one.put("vm-clock-nsec", each.vmClockNanos() % NANOS);
            each.icount().ifPresent(count -> one.put("icount", count));
        }
        return list;
    }
}
