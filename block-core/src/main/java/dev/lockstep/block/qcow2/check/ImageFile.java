package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.layout.BitmapEntry;
import dev.lockstep.block.qcow2.layout.BitmapsExtension;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import java.nio.ByteBuffer;
import java.util.List;

/// The image's file, its header, and the two lists that the header points to. What lies beyond the
/// end of the file reads as zeroes.
final class ImageFile {
    private final Gate file;
    private Header header;
    private final List<SnapshotEntry> snapshots;
    private int snapshotTableBytes;

    private ImageFile(Gate file, Header header) throws BlockException {
        this.file = file;
        this.header = header;
        this.snapshots = readSnapshots();
    }

    /// Reads what is needed to find the rest.
    ///
    /// @throws BlockException if the image cannot be opened at all, by anybody
    static ImageFile open(Gate file) throws BlockException {
        ByteBuffer probe = read(file, 0, Header.PROBE_BYTES);
        int clusterBytes = Header.clusterBytes(probe, file.description());
        ByteBuffer head = read(file, 0, (int) Math.min(clusterBytes, file.size()));
        return new ImageFile(file, Header.parse(head, Long.MAX_VALUE, file.description()));
    }

    Header header() {
        return header;
    }

    Geometry geometry() {
        return header.geometry();
    }

    List<SnapshotEntry> snapshots() {
        return snapshots;
    }

    String description() {
        return file.description();
    }

    long size() {
        return file.size();
    }

    /// How many clusters the file has; the last may be cut short.
    long clusters() {
        long size = file.size();
        return (size >> header.clusterBits()) + ((size & (header.clusterBytes() - 1)) == 0 ? 0 : 1);
    }

    ByteBuffer read(long offset, int length) throws BlockException {
        return read(file, offset, length);
    }

    ByteBuffer readCluster(long cluster) throws BlockException {
        return read(cluster << header.clusterBits(), header.clusterBytes());
    }

    private static ByteBuffer read(Gate file, long offset, int length) throws BlockException {
        ByteBuffer bytes = ByteBuffer.allocate(length);
        long there = Math.max(0, Math.min(length, file.size() - offset));
        if (there > 0) {
            file.read(offset, bytes.slice(0, (int) there));
        }
        return bytes;
    }

    void write(long offset, ByteBuffer bytes) throws BlockException {
        long end = offset + bytes.remaining();
        if (end > file.size()) {
            growTo(end);
        }
        file.write(offset, bytes, WriteFlag.NONE);
    }

    /// Makes the file long enough to hold `end` bytes.
    void growTo(long end) throws BlockException {
        int unit = Math.max(header.clusterBytes(), file.capabilities().preferredBlockSize());
        if (end > file.size()) {
            file.resize(Math.ceilDiv(end, (long) unit) * unit);
        }
    }

    /// Writes what has changed of the header: fixed fields, which lie in one sector, so that a
    /// crash cannot leave a part of it.
    void writeHeader(Header changed) throws BlockException {
        ByteBuffer old = header.encode();
        ByteBuffer encoded = changed.encode();
        int start = old.mismatch(encoded);
        if (start >= 0) {
            int end = encoded.limit();
            while (old.get(end - 1) == encoded.get(end - 1)) {
                end--;
            }
            file.write(start, encoded.slice(start, end - start), WriteFlag.NONE);
        }
        header = changed;
    }

    /// Takes away the bit that vouches for the bitmaps, without which nobody looks at them.
    void dropBitmaps() throws BlockException {
        writeHeader(header.with(Feature.BITMAPS, false));
        header = header.withBitmaps(null);
    }

    void sync() throws BlockException {
        file.flush();
    }

    /// The length of the snapshot table in the file.
    long snapshotTableBytes() {
        return snapshotTableBytes;
    }

    List<BitmapEntry> bitmaps() throws BlockException {
        BitmapsExtension bitmaps = header.bitmaps();
        if (bitmaps == null) {
            return List.of();
        }
        ByteBuffer directory = read(bitmaps.directoryOffset(), (int) bitmaps.directoryBytes());
        return BitmapEntry.parseDirectory(directory, header, description());
    }

    private List<SnapshotEntry> readSnapshots() throws BlockException {
        int bytes = header.clusterBytes();
        while (true) {
            ByteBuffer table = read(header.snapshotsOffset(), bytes);
            List<SnapshotEntry> entries =
                    SnapshotEntry.parseTable(table, header, file.description());
            if (entries != null) {
                snapshotTableBytes = SnapshotEntry.tableBytes(table, header);
                return entries;
            }
            if (bytes >= SnapshotEntry.TABLE_BYTES_MAX) {
                throw new BlockException(
                        BlockException.Kind.CORRUPT,
                        "%s: qcow2 snapshot table: it is longer than %d MiB"
                                .formatted(
                                        file.description(), SnapshotEntry.TABLE_BYTES_MAX >> 20));
            }
            bytes *= 2;
        }
    }
}
