package dev.lockstep.block.qcow2.create;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.qcow2.bitmaps.PersistentBitmap;
import dev.lockstep.block.qcow2.layout.BitmapEntry;
import dev.lockstep.block.qcow2.layout.Geometry;

import java.util.List;

/// How much space an image takes that is yet to be made.
///
/// @param metadata what describes all of the guest's clusters, in bytes
/// @param data all of the guest's clusters, in bytes
public record ImageSize(long metadata, long data) {
    /// The size of an image with all of its clusters in one file.
    ///
    /// @throws BlockException if there is no such image
    public static ImageSize of(CreateOptions options) throws BlockException {
        options.check();
        ImagePlan plan = ImagePlan.full(options);
        long clusterBytes = options.clusterSize();
        return new ImageSize(
                (plan.total() - plan.data()) * clusterBytes, plan.data() * clusterBytes);
    }

    /// When everything was written to.
    public long full() {
        return metadata + data;
    }

    /// What copies of bitmaps take at most: their bits, the tables that say where those are, and
    /// their entries of the directory.
    ///
    /// @param diskBytes the length of the disk that they are about
    public static long ofBitmaps(
            List<PersistentBitmap> bitmaps, long diskBytes, CreateOptions options) {
        Geometry geometry = options.geometry();
        long clusters = 0;
        long directoryBytes = 0;
        for (PersistentBitmap bitmap : bitmaps) {
            long bits = Math.ceilDiv(diskBytes, bitmap.granularity());
            long forBits = geometry.clusters(Math.ceilDiv(bits, (long) Byte.SIZE));
            clusters += forBits + geometry.clusters(forBits * Long.BYTES);
            directoryBytes += BitmapEntry.bytes(bitmap.name());
        }
        return (clusters + geometry.clusters(directoryBytes)) << geometry.clusterBits();
    }
}
