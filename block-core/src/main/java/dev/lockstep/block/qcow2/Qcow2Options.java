package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import java.time.Duration;

/// How a qcow2 image is used, with QEMU's names and defaults. Sizes that are [#UNSAID] follow from
/// the image, see [#caches].
///
/// @param lazyRefcounts whether counts of references may be out of date on disk while the image is
///     open, which is then marked dirty
/// @param passDiscardRequest whether what a guest discards, or zeroes and does not need, is
///     discarded in the image's file
/// @param passDiscardSnapshot whether what deleting or applying a snapshot frees is
/// @param passDiscardOther whether what becomes free otherwise is, such as a cluster that another
///     took the place of; but what a shorter disk frees always is
/// @param discardNoUnref whether what a guest discards keeps its place in the file, and only reads
///     as zeroes, so that the file does not become fragmented; not in version 2
/// @param cacheBytes what all caches may hold
/// @param l2CacheBytes what the cache of L2 tables may hold
/// @param l2CacheEntryBytes how much of an L2 table is cached at once
/// @param refcountCacheBytes what the cache of refcount blocks may hold
/// @param cacheCleanInterval what was not used for so long leaves the caches; zero is never
public record Qcow2Options(
        LazyRefcounts lazyRefcounts,
        boolean passDiscardRequest,
        boolean passDiscardSnapshot,
        boolean passDiscardOther,
        boolean discardNoUnref,
        long cacheBytes,
        long l2CacheBytes,
        long l2CacheEntryBytes,
        long refcountCacheBytes,
        Duration cacheCleanInterval) {
    /// Stands for a size that nobody named.
    public static final long UNSAID = -1;

    /// What all options are if nobody says otherwise, and discards are not asked for.
    public static final Qcow2Options DEFAULTS =
            new Qcow2Options(
                    LazyRefcounts.AS_IN_IMAGE,
                    false,
                    true,
                    false,
                    false,
                    UNSAID,
                    UNSAID,
                    UNSAID,
                    UNSAID,
                    Duration.ofMinutes(10));

    /// With clusters of 64 KiB enough for 256 GiB of disk: an entry of 8 bytes a cluster.
    private static final long L2_CACHE_DEFAULT_MAX = 32 << 20;

    private static final long L2_CACHE_TABLES_MIN = 2;

    private static final long REFCOUNT_CACHE_BLOCKS_MIN = 4;

    private static final long L2_CACHE_ENTRY_MIN = 512;

    /// A page: what a miss reads, and what a commit writes for a single changed mapping.
    private static final long L2_CACHE_ENTRY_DEFAULT_MAX = 4096;

    /// Whether counts of references are kept lazily.
    public enum LazyRefcounts {
        /// If the image has the feature.
        AS_IN_IMAGE,
        /// Yes.
        ON,
        /// No.
        OFF
    }

    /// The sizes of an image's caches.
    ///
    /// @param l2Bytes what the cache of L2 tables may hold, at least two entries
    /// @param l2EntryBytes how much of an L2 table is one entry of the cache, a power of two up to
    ///     a cluster
    /// @param refcountBytes what the cache of refcount blocks may hold, at least four clusters
    public record Caches(long l2Bytes, int l2EntryBytes, long refcountBytes) {}

    /// What the caches of an image hold.
    ///
    /// All of a disk takes `size / clusterBytes * l2EntryBytes` of L2 tables: 128 KiB a GiB with
    /// clusters of 64 KiB. So much is cached unless it is more than 32 MiB or than was allowed; a
    /// cache larger than that would never be full. Refcount blocks are four clusters, since they
    /// are used in order. Of a total, L2 tables take what they can use and refcounts the rest, but
    /// their four clusters first.
    ///
    /// @param size of the disk, in bytes
    /// @param clusterBytes of the image
    /// @param l2EntryBytes of the image's L2 tables: 8, or 16 with subclusters
    /// @throws BlockException if the sizes contradict each other
    public Caches caches(long size, int clusterBytes, int l2EntryBytes) throws BlockException {
        long clusters = (size + clusterBytes - 1) / clusterBytes;
        long useful = (clusters * l2EntryBytes + clusterBytes - 1) / clusterBytes * clusterBytes;
        long refcountMin = REFCOUNT_CACHE_BLOCKS_MIN * clusterBytes;
        long l2 = Math.min(useful, l2CacheBytes < 0 ? L2_CACHE_DEFAULT_MAX : l2CacheBytes);
        long refcounts = refcountCacheBytes < 0 ? refcountMin : refcountCacheBytes;
        if (cacheBytes >= 0) {
            checkTotal();
            if (l2CacheBytes >= 0) {
                refcounts = cacheBytes - l2CacheBytes;
            } else {
                if (refcountCacheBytes < 0) {
                    refcounts = Math.max(Math.min(cacheBytes, refcountMin), cacheBytes - useful);
                }
                l2 = Math.min(useful, cacheBytes - refcounts);
            }
        }
        int entry = entryBytes(clusterBytes);
        return new Caches(
                Math.max(l2, L2_CACHE_TABLES_MIN * entry), entry, Math.max(refcounts, refcountMin));
    }

    private void checkTotal() throws BlockException {
        if (l2CacheBytes >= 0 && refcountCacheBytes >= 0) {
            throw invalid(
                    "cache-size, l2-cache-size and refcount-cache-size are given: give two of them");
        }
        if (l2CacheBytes > cacheBytes) {
            throw invalid("l2-cache-size is more than cache-size");
        }
        if (refcountCacheBytes > cacheBytes) {
            throw invalid("refcount-cache-size is more than cache-size");
        }
    }

    private int entryBytes(int clusterBytes) throws BlockException {
        long entry =
                l2CacheEntryBytes < 0
                        ? Math.min(clusterBytes, L2_CACHE_ENTRY_DEFAULT_MAX)
                        : l2CacheEntryBytes;
        if (Long.bitCount(entry) != 1 || entry < L2_CACHE_ENTRY_MIN || entry > clusterBytes) {
            throw invalid(
                    ("l2-cache-entry-size is %d: write a power of two from %d to %d, the cluster size"
                                    + " of the image")
                            .formatted(entry, L2_CACHE_ENTRY_MIN, clusterBytes));
        }
        return (int) entry;
    }

    private static BlockException invalid(String sentence) {
        return new BlockException(Kind.INVALID, sentence);
    }
}
