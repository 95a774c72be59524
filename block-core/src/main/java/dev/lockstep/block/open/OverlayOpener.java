package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.overlay.BufferOverlay;
import dev.lockstep.block.overlay.ByteBudget;
import dev.lockstep.block.overlay.DurableStore;
import dev.lockstep.block.overlay.MapHeader;

/// The driver `overlay`: copy-on-write above an image of any format. Ours alone.
///
///     file       the map
///     data-file  where what was written lies; default: what the map says, beside the map
///     backing    what is read where nothing was written; default: what the map says;
///                none: zeroes
final class OverlayOpener {
    private OverlayOpener() {}

    static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        ImpliedEdge backing = options.backing();
        ImpliedEdge dataFile = options.dataFileBeside();
        return () -> {
            Gate map = file.gate();
            MapHeader header = DurableStore.header(map);
            Gate below = backing.open(header.backingFile(), header.backingFormat());
            Gate data = dataFile.open(header.dataFile(), "raw");
            if (data == null) {
                throw new BlockException(
                        Kind.INVALID,
                        "%s: an overlay needs its data file".formatted(map.description()));
            }
            return BufferOverlay.open(
                    "overlay " + map.description(),
                    below,
                    DurableStore.open(map, data),
                    ByteBudget.unlimited());
        };
    }
}
