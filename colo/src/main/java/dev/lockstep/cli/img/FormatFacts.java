package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import org.jspecify.annotations.Nullable;

import java.util.List;

/// What an image of a format says of itself.
public sealed interface FormatFacts permits OverlayFacts, QcowFacts, QedFacts {
    /// The length of the guest's disk.
    long bytes();

    /// The length of its clusters.
    int clusterBytes();

    /// The backing file's name as it is recorded, or null.
    @Nullable String backingFile();

    /// Its format, if that is recorded.
    @Nullable String backingFormat();

    /// Whether it was not closed properly.
    boolean isDirty();

    /// Its internal snapshots.
    default List<SnapshotEntry> snapshots() {
        return List.of();
    }

    /// Where the state of a machine would be stored, or 0.
    default long stateOffset() {
        return 0;
    }

    /// What only this format has, with the names of QEMU's schema, or null.
    @Nullable ObjectNode specific();
}
