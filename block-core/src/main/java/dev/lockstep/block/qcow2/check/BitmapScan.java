package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.Findings;
import dev.lockstep.block.qcow2.layout.BitmapEntry;
import dev.lockstep.block.qcow2.layout.BitmapsExtension;
import dev.lockstep.block.qcow2.layout.Geometry;

import java.nio.ByteBuffer;
import java.util.List;

/// Counts the clusters of bitmaps: the directory, the tables, the data.
final class BitmapScan {
    private static final long OFFSET_MASK = 0x00ff_ffff_ffff_fe00L;

    /// An entry without an offset may say with this bit that all bits are set.
    private static final long ALL_ONES = 1;

    private final ImageFile image;
    private final Geometry geometry;
    private final Findings findings;
    private final References references;

    BitmapScan(ImageFile image, Findings findings, References references) {
        this.image = image;
        geometry = image.geometry();
        this.findings = findings;
        this.references = references;
    }

    /// Counts, and tells whether the bitmaps are as they can be.
    boolean run() throws BlockException {
        BitmapsExtension extension = image.header().bitmaps();
        if (extension == null) {
            return true;
        }
        long before = findings.corruptions();
        references.addFixed(
                "the bitmap directory", extension.directoryOffset(), extension.directoryBytes(), 1);
        List<BitmapEntry> bitmaps;
        try {
            bitmaps = image.bitmaps();
        } catch (BlockException e) {
            findings.corruption(e.getMessage());
            return false;
        }
        for (BitmapEntry bitmap : bitmaps) {
            table(bitmap);
        }
        return findings.corruptions() == before;
    }

    private void table(BitmapEntry bitmap) throws BlockException {
        int bytes = bitmap.tableEntries() * Long.BYTES;
        references.addFixed("a bitmap table", bitmap.tableOffset(), bytes, 1);
        ByteBuffer table = image.read(bitmap.tableOffset(), bytes);
        while (table.hasRemaining()) {
            long word = table.getLong();
            long offset = word & OFFSET_MASK;
            long others = word & ~OFFSET_MASK;
            boolean aligned = geometry.clusterStart(offset) == offset;
            if (!aligned || (others != 0 && (others != ALL_ONES || offset != 0))) {
                findings.corruption(
                        "the table of bitmap '%s' has an entry that cannot be: 0x%x"
                                .formatted(bitmap.name(), word));
            } else if (offset != 0) {
                references.add("a bitmap's cluster", offset, geometry.clusterBytes(), 1);
            }
        }
    }
}
