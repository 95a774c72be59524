package dev.lockstep.block.qcow2.snapshot;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import java.nio.ByteBuffer;
import java.util.List;

/// The snapshot table and its length.
///
/// @param entries in the order of the table
/// @param bytes how long the table is in the file
record SnapshotTable(List<SnapshotEntry> entries, int bytes) {
    /// Most tables are not longer.
    private static final int FIRST_BYTES = 64 << 10;

    /// Reads the table.
    static SnapshotTable read(Gate file, Header header) throws BlockException {
        for (int limit = FIRST_BYTES; ; limit *= 2) {
            long there = Math.max(0, file.size() - header.snapshotsOffset());
            ByteBuffer table = ByteBuffer.allocate((int) Math.min(limit, there));
            if (header.snapshotCount() > 0 && table.hasRemaining()) {
                file.read(header.snapshotsOffset(), table);
            }
            table.flip();
            List<SnapshotEntry> entries =
                    SnapshotEntry.parseTable(table, header, file.description());
            if (entries != null) {
                return new SnapshotTable(entries, SnapshotEntry.tableBytes(table, header));
            }
            if (limit >= there || limit >= SnapshotEntry.TABLE_BYTES_MAX) {
                throw new BlockException(
                        Kind.CORRUPT,
                        "%s: qcow2 snapshot table: it does not end within the file, or is longer"
                                        .formatted(file.description())
                                + " than %d MiB".formatted(SnapshotEntry.TABLE_BYTES_MAX >> 20));
            }
        }
    }
}
