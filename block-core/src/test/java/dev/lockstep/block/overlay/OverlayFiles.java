package dev.lockstep.block.overlay;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;

import java.util.List;

/// What an overlay stands on, on one clock: losing power together, syncing apart.
record OverlayFiles(RecordingDevice map, RecordingDevice data, RecordingDevice backing) {
    static final int CLUSTER = MapHeader.CLUSTER_BYTES_MIN;

    /// A new overlay over `below`, of some length.
    static OverlayFiles create(byte[] below, long size) throws BlockException {
        RecordingDevice map = new RecordingDevice(new byte[0]);
        RecordingDevice data = map.beside(new byte[0]);
        DurableStore.create(
                new Gate(map), new Gate(data), MapHeader.create(size, CLUSTER, "base", "raw", "d"));
        return of(List.of(map.contents(), data.contents(), below));
    }

    /// What a crash left, or a process, all of it durable.
    static OverlayFiles of(List<byte[]> contents) {
        RecordingDevice map = new RecordingDevice(contents.getFirst());
        return new OverlayFiles(map, map.beside(contents.get(1)), map.beside(contents.get(2)));
    }

    RecordingDevice[] devices() {
        return new RecordingDevice[] {map, data, backing};
    }

    BufferOverlay open() throws BlockException {
        return BufferOverlay.open(
                "overlay",
                new Gate(backing),
                DurableStore.open(new Gate(map), new Gate(data)),
                ByteBudget.unlimited());
    }
}
