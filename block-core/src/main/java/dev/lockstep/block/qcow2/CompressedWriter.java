package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.CompressedTarget.Compressed;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.RangeLock.Hold;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.codec.CompressedClusters;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.table.Entry;
import dev.lockstep.block.qcow2.table.Epochs.Epoch;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.HostRange;
import dev.lockstep.block.qcow2.table.Tables;

import java.nio.ByteBuffer;

/// Stores clusters compressed, one behind the other without gaps, so that several share a cluster
/// of the file. Compressing holds no lock. What was there before is given up like any cluster that
/// is replaced; QEMU refuses to compress over what is allocated.
final class CompressedWriter {
    private final Tables tables;
    private final Image image;
    private final Geometry geometry;
    private final CompressedClusters compressed;
    private final RangeLock clusters;

    CompressedWriter(Image image, RangeLock clusters) {
        this.image = image;
        this.clusters = clusters;
        tables = image.tables();
        geometry = tables.geometry();
        compressed = image.compressed();
    }

    /// Compresses a cluster, which may be short at the end of the disk.
    ///
    /// @param device takes it as it is if it does not shrink, and is told of it
    Compressed compress(long offset, ByteBuffer source, Qcow2Device device) throws BlockException {
        ByteBuffer plain = source.slice();
        CompressedClusters.Result result = compressed.compress(source);
        return new Compressed() {
            @Override
            public void store() throws BlockException {
                ByteBuffer stored = result.stored();
                if (stored == null) {
                    device.write(offset, plain, WriteFlag.NONE);
                    return;
                }
                try {
                    CompressedWriter.this.store(offset, stored);
                } finally {
                    device.record(offset, plain.remaining());
                }
            }

            @Override
            public void close() {
                result.close();
            }
        };
    }

    private void store(long offset, ByteBuffer stored) throws BlockException {
        int length = stored.remaining();
        tables.beforeChange();
        Epoch epoch = tables.enter();
        try (Hold _ = clusters.exclusive(offset, 1)) {
            long host = tables.refcounts().allocateBytes(length);
            boolean done = false;
            try {
                compressed.replaced(host);
                tables.file().before(Step.WRITE_COMPRESSED);
                image.data().write(host, stored);
                tables.file().before(Step.L2_UPDATE_COMPRESSED);
                tables.mappings()
                        .set(offset, Entry.compressed(host, length, geometry), Freed.OTHER);
                done = true;
            } finally {
                if (!done) {
                    long first = geometry.cluster(host);
                    long last = geometry.cluster(host + length - 1);
                    tables.refcounts().release(new HostRange(first, last - first + 1));
                }
            }
        } finally {
            epoch.leave();
        }
    }
}
