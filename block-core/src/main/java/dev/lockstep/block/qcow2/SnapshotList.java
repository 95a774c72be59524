package dev.lockstep.block.qcow2;

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
/// @param entries in the image's order
public record SnapshotList(String image, List<SnapshotEntry> entries) {
    /// Some hundred entries; most tables are read at once.
    private static final int FIRST_BYTES = 64 << 10;

    /// Reads it.
    ///
    /// @throws BlockException if the image's header or its snapshot table is damaged
    public static SnapshotList read(Gate file) throws BlockException {
        Header header = Qcow2Device.header(file);
        for (int bytes = FIRST_BYTES; ; bytes *= 4) {
            int there = (int) Math.min(bytes, Math.max(0, file.size() - header.snapshotsOffset()));
            ByteBuffer table = ByteBuffer.allocate(header.snapshotCount() == 0 ? 0 : there);
            file.read(header.snapshotsOffset(), table);
            List<SnapshotEntry> entries =
                    SnapshotEntry.parseTable(table.flip(), header, file.description());
            if (entries != null) {
                return new SnapshotList(file.description(), entries);
            }
            if (there < bytes || bytes >= SnapshotEntry.TABLE_BYTES_MAX) {
                throw new BlockException(
                        Kind.CORRUPT,
                        ("%s: the snapshot table does not end within the file, or is longer than %d"
                                        + " bytes")
                                .formatted(file.description(), SnapshotEntry.TABLE_BYTES_MAX));
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
