package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.bitmaps.PersistentBitmap;
import dev.lockstep.block.qcow2.create.CreateOptions;
import dev.lockstep.block.qcow2.create.ImageSize;
import dev.lockstep.block.qcow2.create.Preallocation;
import dev.lockstep.image.OpenImage;

import java.util.List;

/// How much space a new image takes, in bytes.
///
/// @param required at first
/// @param fullyAllocated when all of it was written to
/// @param bitmaps what copies of the source's dirty bitmaps take besides, or -1 if the source or
///     the new image has none by its format
record Measure(long required, long fullyAllocated, long bitmaps) {
    private static final int SECTOR_BYTES = 512;

    static Measure ofEmpty(NewImage target) throws BlockException {
        return switch (target) {
            case NewRaw raw -> ofRaw(raw);
            case NewQcow2 qcow2 -> ofQcow2(qcow2.options(), 0, -1);
            case NewQed _, NewOverlay _ -> throw unmeasured();
        };
    }

    static Measure ofCopy(OpenImage source, NewImage target) throws BlockException {
        return switch (target) {
            case NewRaw raw -> ofRaw(raw);
            case NewQcow2(CreateOptions options, _) ->
                    ofQcow2(options, dataBytes(source, options), bitmapBytes(source, options));
            case NewQed _, NewOverlay _ -> throw unmeasured();
        };
    }

    private static BlockException unmeasured() {
        return new BlockException(
                Kind.UNSUPPORTED, "the space of such images cannot be told: say -O qcow2 or raw");
    }

    /// All of it, whatever holes it may have.
    private static Measure ofRaw(NewRaw raw) {
        long bytes = (raw.bytes() + SECTOR_BYTES - 1) & -SECTOR_BYTES;
        return new Measure(bytes, bytes, -1);
    }

    /// The metadata is that of a full image, which is too much, but not by much.
    private static Measure ofQcow2(CreateOptions options, long dataBytes, long bitmapBytes)
            throws BlockException {
        ImageSize size = ImageSize.of(options);
        boolean full =
                options.preallocation() == Preallocation.FALLOC
                        || options.preallocation() == Preallocation.FULL;
        return new Measure(
                size.metadata() + (full ? size.data() : dataBytes), size.full(), bitmapBytes);
    }

    /// All clusters that have some data. What a backing file will have of them is not known, so
    /// that above one everything is counted.
    private static long dataBytes(OpenImage source, CreateOptions options) throws BlockException {
        int cluster = options.clusterSize();
        Gate gate = source.connect(true);
        if (options.backingFile() != null) {
            return (gate.size() + cluster - 1) & -cluster;
        }
        long bytes = 0;
        long counted = 0;
        for (long at = 0; at < gate.size(); ) {
            for (Extent extent : gate.extents(at, gate.size() - at)) {
                at = extent.end();
                if (extent.kind() == Extent.Kind.DATA) {
                    long from = Math.max(counted, extent.offset() & -cluster);
                    counted = Math.max(counted, (at + cluster - 1) & -cluster);
                    bytes += counted - Math.min(from, counted);
                }
            }
        }
        return bytes;
    }

    private static long bitmapBytes(OpenImage source, CreateOptions options) throws BlockException {
        Gate file = source.image().children().get("file");
        if (options.version() < 3
                || file == null
                || !(source.image().bare() instanceof Qcow2Device disk)
                || Qcow2Device.header(file).version() < 3) {
            return -1;
        }
        List<PersistentBitmap> copied =
                disk.bitmaps().all().stream().filter(PersistentBitmap::isConsistent).toList();
        return ImageSize.ofBitmaps(copied, disk.size(), options);
    }
}
