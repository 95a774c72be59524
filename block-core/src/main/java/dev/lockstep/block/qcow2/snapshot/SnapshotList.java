package dev.lockstep.block.qcow2.snapshot;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Objects;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// The snapshots inside an image.
///
/// @param image what opens every error
/// @param entries in the order of the table
/// @param bytes how long the table is in the file
public record SnapshotList(String image, List<SnapshotEntry> entries, int bytes) {
    /// Most tables are not longer.
    private static final int FIRST_BYTES = 64 << 10;

    /// Reads the table, which does not tell its length: as much of it as is needed.
    ///
    /// @throws BlockException if the table is damaged
    public static SnapshotList read(Gate file, Header header) throws BlockException {
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
                int bytes = SnapshotEntry.tableBytes(table, header);
                return new SnapshotList(file.description(), entries, bytes);
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

    /// Finds one.
    ///
    /// @param id its id, or null for any
    /// @param name its name, or null for any
    /// @throws BlockException if there is none
    public SnapshotEntry find(@Nullable String id, @Nullable String name) throws BlockException {
        return first(
                entry ->
                        (id == null || entry.id().equals(id))
                                && (name == null || entry.name().equals(name)),
                Stream.of(id, name).filter(Objects::nonNull).collect(Collectors.joining(", ")));
    }

    /// Finds one by its id or, if none has that, by its name.
    ///
    /// @throws BlockException if there is none
    public SnapshotEntry find(String idOrName) throws BlockException {
        boolean isId = entries.stream().anyMatch(entry -> entry.id().equals(idOrName));
        return isId ? find(idOrName, null) : find(null, idOrName);
    }

    private SnapshotEntry first(Predicate<SnapshotEntry> wanted, String what)
            throws BlockException {
        return entries.stream()
                .filter(wanted)
                .findFirst()
                .orElseThrow(
                        () ->
                                new BlockException(
                                        Kind.INVALID,
                                        "%s: there is no snapshot '%s' inside"
                                                .formatted(image, what)));
    }
}
