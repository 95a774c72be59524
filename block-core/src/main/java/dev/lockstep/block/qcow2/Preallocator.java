package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.create.Preallocation;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.table.Entry;

import java.nio.ByteBuffer;

/// Gives the end of a disk, which reads as zeroes, its place at once.
record Preallocator(Qcow2Device device, Image image) {
    /// A multiple of every cluster size.
    private static final int STEP_BYTES = 2 << 20;

    /// @param from where the end begins
    void run(long from, Preallocation how) throws BlockException {
        Gate gate = new Gate(device);
        ByteBuffer zeroes = ByteBuffer.allocate(STEP_BYTES);
        for (long at = from; at < device.size() && how != Preallocation.OFF; ) {
            long end = Math.min(device.size(), (at / STEP_BYTES + 1) * STEP_BYTES);
            int step = (int) (end - at);
            // Where something was freed before, zeroes have to be written.
            if (how == Preallocation.FULL || !device.place(at, step)) {
                gate.write(at, zeroes.slice(0, step), WriteFlag.NONE);
            }
            if (how == Preallocation.FALLOC) {
                reserve(at, end);
            }
            at = end;
        }
        gate.flush();
    }

    /// Has the file system reserve space for clusters, which read as zeroes.
    private void reserve(long from, long end) throws BlockException {
        if (image.dataElsewhere()) {
            image.data().zero(from, end - from, WriteFlag.NONE);
            return;
        }
        Geometry geometry = image.tables().geometry();
        int bytes = geometry.clusterBytes();
        for (long at = geometry.clusterEnd(from); at < end; at += bytes) {
            Entry entry = image.tables().mappings().entry(at);
            if (entry.isOwned()) {
                image.data().zero(entry.host(), bytes, WriteFlag.NONE);
            }
        }
    }
}
