package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.RangeLock.Hold;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.table.Allocated;
import dev.lockstep.block.qcow2.table.Entry;
import dev.lockstep.block.qcow2.table.Epochs.Epoch;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.Mappings;
import dev.lockstep.block.qcow2.table.Tables;

/// Gives clusters their place before they are written, which nobody notices: what reads as zeroes
/// is mapped to clusters that were never used and read as zeroes too. So there is no data that
/// would have to be written first, and the writes that come are writes in place.
final class ClusterPlacer {
    private final Image image;
    private final Tables tables;
    private final Geometry geometry;
    private final RangeLock clusters;

    ClusterPlacer(Image image, RangeLock clusters) {
        this.image = image;
        this.clusters = clusters;
        tables = image.tables();
        geometry = tables.geometry();
    }

    /// Returns whether all of it has its place now. In an external data file everything has.
    boolean place(long offset, long length) throws BlockException {
        if (image.dataElsewhere()) {
            return true;
        }
        tables.beforeChange();
        Epoch epoch = tables.enter();
        try (Hold _ = clusters.exclusive(offset, length)) {
            Mappings mappings = tables.mappings();
            long at = geometry.clusterStart(offset);
            while (at < offset + length) {
                long count = missing(at, offset + length);
                if (count < 0) {
                    return false;
                }
                if (count == 0) {
                    at += geometry.clusterBytes();
                    continue;
                }
                Allocated found = tables.refcounts().allocate(count);
                if (!found.zero()) {
                    tables.refcounts().release(found.range());
                    return false;
                }
                long host = found.range().cluster() << geometry.clusterBits();
                for (long done = 0; done < found.range().count(); done++) {
                    mappings.set(at, placed(mappings.entry(at), host), Freed.OTHER);
                    at += geometry.clusterBytes();
                    host += geometry.clusterBytes();
                }
            }
            return true;
        } finally {
            epoch.leave();
        }
    }

    /// How many clusters from here on can be placed together: 0 if the first has a place, and -1 if
    /// it has something that would have to be copied.
    private long missing(long start, long end) throws BlockException {
        long count = 0;
        for (long at = start; at < end; at += geometry.clusterBytes()) {
            boolean owned = tables.mappings().entry(at).isOwned();
            if (owned || !image.readsAsZero(at, geometry.clusterBytes())) {
                return count > 0 || owned ? count : -1;
            }
            count++;
        }
        return count;
    }

    /// With extended entries a subcluster stays what it was until it is written.
    private Entry placed(Entry before, long host) {
        return geometry.extended()
                ? new Entry(host | L2Entry.COPIED, before.bitmap())
                : Entry.data(host);
    }
}
