package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.Counts;
import dev.lockstep.block.format.Findings;
import dev.lockstep.block.format.MemoryBudget;

import java.util.Map;
import java.util.TreeMap;

/// How often each cluster of the file is referred to, and what its refcount is.
final class References {
    private final ImageFile image;
    private final Findings findings;
    private final long clusters;

    /// References from everything but the refcount table.
    private final Counts found;

    /// References from the header to the refcount table, and from that to the blocks.
    private final Counts structure;

    /// The refcounts of the image.
    private final Counts recorded;

    /// Regions that have their place by themselves: where each begins and ends.
    private final TreeMap<Long, Long> fixed = new TreeMap<>();

    private boolean overlapping;

    References(ImageFile image, Findings findings, MemoryBudget budget) {
        this.image = image;
        this.findings = findings;
        clusters = image.clusters();
        found = new Counts(budget);
        structure = new Counts(budget);
        recorded = new Counts(budget);
    }

    /// Counts a reference from the refcount structure to a cluster within the file.
    ///
    /// @return how many there are now
    long addStructure(long cluster) throws BlockException {
        structure.add(cluster, 1);
        return structure.get(cluster);
    }

    void record(long cluster, long refcount) throws BlockException {
        recorded.set(cluster, refcount);
    }

    /// Counts references to the clusters of a region.
    ///
    /// @return false if the region ends a cluster or more beyond the end of the file
    boolean add(String what, long offset, long bytes, long count) throws BlockException {
        int bits = image.header().clusterBits();
        long last = (offset + bytes - 1) >>> bits;
        if (offset < 0 || offset + bytes - 1 < offset || last >= clusters) {
            findings.corruption(
                    "%s at 0x%x, %d bytes long, lies beyond the end of the file"
                            .formatted(what, offset, bytes));
            return false;
        }
        for (long cluster = offset >>> bits; cluster <= last; cluster++) {
            found.add(cluster, count);
        }
        return true;
    }

    /// Counts references to a cluster within the file.
    void addCluster(long cluster, long count) throws BlockException {
        found.add(cluster, count);
    }

    /// Counts a reference to a region that has its place by itself: not an L2 table or a cluster of
    /// data, which entries point to.
    void addFixed(String what, long offset, long bytes, long count) throws BlockException {
        if (bytes > 0 && add(what, offset, bytes, count)) {
            fixed.merge(offset, offset + bytes, Math::max);
        }
    }

    /// Whether a cluster is part of a table that has its place by itself, so that it cannot be an
    /// L2 table.
    boolean isFixed(long cluster) {
        int bits = image.header().clusterBits();
        Map.Entry<Long, Long> before = fixed.lowerEntry((cluster + 1) << bits);
        return before != null && before.getValue() > cluster << bits;
    }

    /// References from everything but the refcount structure.
    long found(long cluster) {
        return found.get(cluster);
    }

    /// All references.
    long total(long cluster) {
        return found.get(cluster) + structure.get(cluster);
    }

    long recorded(long cluster) {
        return recorded.get(cluster);
    }

    /// Whether a part of the refcount structure is something else, too; known after [#compare].
    boolean isStructureShared() {
        return overlapping;
    }

    long clusters() {
        return clusters;
    }

    /// The next cluster that may have a reference or a refcount, or -1. Whoever goes on within a
    /// page knows that the page is there.
    long next(long cluster) {
        if (cluster % Counts.PAGE_CLUSTERS != 0 && cluster < clusters) {
            return cluster;
        }
        long next = -1;
        for (Counts counts : new Counts[] {found, structure, recorded}) {
            long page = counts.nextPage(cluster);
            next = page >= 0 && (next < 0 || page < next) ? page : next;
        }
        long there = Math.max(next, cluster);
        return next < 0 || there >= clusters ? -1 : there;
    }

    /// Compares references and refcounts.
    ///
    /// @return where the last cluster in use ends
    long compare() {
        long end = 0;
        for (long at = next(0); at >= 0; at = next(at + 1)) {
            long total = total(at);
            long refcount = recorded(at);
            if (total > 1 && structure.get(at) > 0) {
                overlapping = true;
                findings.corruption(
                        "cluster %d: refcounts, and in use for something else".formatted(at));
            }
            end = total != 0 || refcount != 0 ? at + 1 : end;
            int order = Long.compareUnsigned(refcount, total);
            if (order < 0) {
                findings.corruption(
                        "cluster %d: refcount %d, references %d".formatted(at, refcount, total));
            } else if (order > 0) {
                findings.leak(
                        "cluster %d: refcount %s, references %d"
                                .formatted(at, Long.toUnsignedString(refcount), total));
            }
        }
        return end << image.header().clusterBits();
    }
}
