package dev.lockstep.block.overlay;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

/// A store that is gone when it is closed or when its process ends. The device belongs to it; what
/// that contains in the beginning does not matter.
record VolatileStore(Gate data, long size, int clusterBytes, ClusterBitmap held)
        implements ClusterStore {
    VolatileStore(BlockDevice device, int clusterBytes) {
        this(
                new Gate(device),
                device.size(),
                clusterBytes,
                new ClusterBitmap(Math.ceilDiv(device.size(), (long) clusterBytes)));
    }

    @Override
    public ClusterBitmap kept() {
        return held;
    }

    @Override
    public long hold(long from, long to) {
        return held.set(from, to);
    }

    @Override
    public long drop(long from, long to) {
        return held.clear(from, to);
    }

    @Override
    public void sync(@Nullable Gate backing) throws BlockException {
        data.flush();
    }

    @Override
    public void empty() {
        held.clear();
    }

    @Override
    public void nameBacking(String file, String format) throws BlockException {
        throw new BlockException(
                Kind.UNSUPPORTED, "an overlay that goes with its process names no image below it");
    }

    @Override
    public void close() throws BlockException {
        held.clear();
        data.device().close();
    }
}
