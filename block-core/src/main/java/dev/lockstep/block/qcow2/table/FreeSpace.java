package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.qcow2.layout.Geometry;

import java.util.Set;

/// Takes references away, and discards what has none then.
final class FreeSpace {
    private final HostFile file;
    private final Geometry geometry;
    private final Refcounts refcounts;
    private final Set<Freed> discarded;

    /// @param discarded why clusters become free that are discarded in the file
    FreeSpace(HostFile file, Geometry geometry, Refcounts refcounts, Set<Freed> discarded) {
        this.file = file;
        this.geometry = geometry;
        this.refcounts = refcounts;
        this.discarded = Set.copyOf(discarded);
    }

    /// Takes a reference from each cluster. Nobody can reach them through that any more, nor after
    /// a crash.
    void free(HostRange range, Freed why) throws BlockException {
        if (discarded.contains(why)) {
            discard(range);
        }
        refcounts.release(range);
    }

    private void discard(HostRange range) throws BlockException {
        for (long cluster = range.cluster(); cluster < range.end(); ) {
            long first = cluster;
            while (cluster < range.end() && refcounts.isLeaving(cluster)) {
                cluster++;
            }
            long start = first << geometry.clusterBits();
            long end = Math.min(cluster << geometry.clusterBits(), file.size());
            if (start < end) {
                file.release(start, end - start);
            }
            cluster++;
        }
    }
}
