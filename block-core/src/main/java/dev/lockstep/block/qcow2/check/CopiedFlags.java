package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;

/// Puts the COPIED flags of the active tables right: they are set exactly where there is one
/// reference.
final class CopiedFlags implements L2Visitor {
    private final Geometry geometry;
    private final References references;
    private final boolean external;

    CopiedFlags(ImageFile image, References references) {
        geometry = image.geometry();
        external = image.header().has(Feature.EXTERNAL_DATA);
        this.references = references;
    }

    @Override
    public long activeEntry(long word) {
        return flagged(word);
    }

    @Override
    public boolean table(long[] table, long offset, long tables, boolean active) {
        if (!active || external) {
            return false;
        }
        boolean changed = false;
        for (int at = 0; at < table.length; at += geometry.entryWords()) {
            long word = table[at];
            if (!L2Entry.isCompressed(word) && L2Entry.offset(word) != 0) {
                long wanted = flagged(word);
                table[at] = wanted;
                changed |= wanted != word;
            }
        }
        return changed;
    }

    private long flagged(long word) {
        return references.total(geometry.cluster(L2Entry.offset(word))) == 1
                ? word | L2Entry.COPIED
                : word & ~L2Entry.COPIED;
    }
}
