package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.overlay.MapHeader;
import dev.lockstep.qmp.Json;

import org.jspecify.annotations.Nullable;

/// What the map of an overlay says of it.
record OverlayFacts(MapHeader header) implements FormatFacts {
    @Override
    public long bytes() {
        return header.size();
    }

    @Override
    public int clusterBytes() {
        return header.clusterBytes();
    }

    @Override
    public String backingFile() {
        return header.backingFile();
    }

    @Override
    public @Nullable String backingFormat() {
        return header.backingFormat().isEmpty() ? null : header.backingFormat();
    }

    /// It needs no closing.
    @Override
    public boolean isDirty() {
        return false;
    }

    @Override
    public ObjectNode specific() {
        return Json.object()
                .put("data-file", header.dataFile())
                .put("generation", header.generation());
    }
}
