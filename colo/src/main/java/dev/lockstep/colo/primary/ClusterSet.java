package dev.lockstep.colo.primary;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReferenceArray;

/// A growing set of the clusters of a disk. Any number of threads add to it at once.
///
/// It is an array of pages that exist once something in them was added: an empty set for a disk of
/// 1 TiB takes 4096 references, a page 512 bytes for 256 MiB of disk.
final class ClusterSet {
    /// The grain at which two disks are compared and copied.
    static final int CLUSTER_BYTES = 64 << 10;

    private static final int CLUSTER_SHIFT = Integer.numberOfTrailingZeros(CLUSTER_BYTES);
    private static final int PAGE_SHIFT = 12;
    private static final int PAGE_CLUSTERS = 1 << PAGE_SHIFT;

    private final long clusters;
    private final AtomicReferenceArray<@Nullable AtomicLongArray> pages;

    ClusterSet(long diskBytes) {
        clusters = (diskBytes + CLUSTER_BYTES - 1) >> CLUSTER_SHIFT;
        pages =
                new AtomicReferenceArray<>(
                        Math.toIntExact((clusters + PAGE_CLUSTERS - 1) >> PAGE_SHIFT));
    }

    /// Adds every cluster that the range of bytes touches.
    void add(long offset, long length) {
        long last = (offset + length - 1) >> CLUSTER_SHIFT;
        for (long cluster = offset >> CLUSTER_SHIFT; cluster <= last; cluster++) {
            addCluster(cluster);
        }
    }

    void addAll(ClusterSet other) {
        for (long cluster = other.next(0); cluster >= 0; cluster = other.next(cluster + 1)) {
            addCluster(cluster);
        }
    }

    void remove(long cluster) {
        AtomicLongArray page = pages.get((int) (cluster >> PAGE_SHIFT));
        if (page != null) {
            int bit = (int) cluster & (PAGE_CLUSTERS - 1);
            page.getAndUpdate(bit >> 6, word -> word & ~(1L << bit));
        }
    }

    boolean isEmpty() {
        return next(0) < 0;
    }

    /// The first cluster of the set that is not below `from`, or -1.
    long next(long from) {
        for (long cluster = from; cluster < clusters; ) {
            AtomicLongArray page = pages.get((int) (cluster >> PAGE_SHIFT));
            if (page == null) {
                cluster = ((cluster >> PAGE_SHIFT) + 1) << PAGE_SHIFT;
                continue;
            }
            int bit = (int) cluster & (PAGE_CLUSTERS - 1);
            long rest = page.get(bit >> 6) >>> bit;
            if (rest != 0) {
                return cluster + Long.numberOfTrailingZeros(rest);
            }
            cluster = ((cluster >> 6) + 1) << 6;
        }
        return -1;
    }

    long sizeInBytes() {
        long bytes = 0;
        for (long cluster = next(0); cluster >= 0; cluster = next(cluster + 1)) {
            bytes += CLUSTER_BYTES;
        }
        return bytes;
    }

    private void addCluster(long cluster) {
        int bit = (int) cluster & (PAGE_CLUSTERS - 1);
        AtomicLongArray page = page((int) (cluster >> PAGE_SHIFT));
        long mask = 1L << bit;
        if ((page.getPlain(bit >> 6) & mask) == 0) {
            page.getAndUpdate(bit >> 6, word -> word | mask);
        }
    }

    private AtomicLongArray page(int index) {
        AtomicLongArray page = pages.get(index);
        if (page != null) {
            return page;
        }
        AtomicLongArray fresh = new AtomicLongArray(PAGE_CLUSTERS / Long.SIZE);
        AtomicLongArray other = pages.compareAndExchange(index, null, fresh);
        return other == null ? fresh : other;
    }
}
