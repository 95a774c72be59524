package dev.lockstep.block.qcow2.layout;

/// The arithmetic of an image: how large its tables are and what they cover. All of it follows from
/// three numbers of the header. (qcow2.txt, "Host cluster management", "Cluster mapping" and
/// "Extended L2 Entries".)
///
/// @param clusterBits the cluster size is two to this power, 9 to 21
/// @param extended whether L2 entries are of 16 bytes and tell of 32 subclusters
/// @param refcountOrder a refcount has two to this power bits, 0 to 6
public record Geometry(int clusterBits, boolean extended, int refcountOrder) {
    /// How many parts a cluster has where entries are extended.
    public static final int SUBCLUSTERS = 32;

    /// The smallest cluster: 512 bytes.
    public static final int CLUSTER_BITS_MIN = 9;

    /// The largest cluster: 2 MiB.
    public static final int CLUSTER_BITS_MAX = 21;

    /// Checks the numbers.
    public Geometry {
        if (clusterBits < CLUSTER_BITS_MIN || clusterBits > CLUSTER_BITS_MAX) {
            throw new IllegalArgumentException("clusters of 2^%d bytes".formatted(clusterBits));
        }
        if (refcountOrder < 0 || refcountOrder > 6) {
            throw new IllegalArgumentException("refcounts of 2^%d bits".formatted(refcountOrder));
        }
    }

    /// The length of a cluster in bytes.
    public int clusterBytes() {
        return 1 << clusterBits;
    }

    /// The whole clusters that so many bytes take.
    public long clusters(long bytes) {
        return (bytes + clusterBytes() - 1) >>> clusterBits;
    }

    /// The number of the cluster that a byte is in.
    public long cluster(long offset) {
        return offset >>> clusterBits;
    }

    /// The first byte of the cluster that a byte is in.
    public long clusterStart(long offset) {
        return offset & -clusterBytes();
    }

    /// The first cluster boundary at or after a byte.
    public long clusterEnd(long offset) {
        return (offset + clusterBytes() - 1) & -clusterBytes();
    }

    /// How many 64-bit words an L2 entry has.
    public int entryWords() {
        return extended ? 2 : 1;
    }

    /// How many entries an L2 table has.
    public int l2Entries() {
        return 1 << (clusterBits - 3 - (extended ? 1 : 0));
    }

    /// How many guest bytes an L2 table covers.
    public long l2Coverage() {
        return (long) l2Entries() << clusterBits;
    }

    /// How many L1 entries a disk of so many bytes needs.
    public long l1Entries(long diskBytes) {
        return Math.ceilDiv(diskBytes, l2Coverage());
    }

    /// The smallest part of a cluster that is mapped by itself, in bytes: the whole cluster unless
    /// entries are extended.
    public int subclusterBytes() {
        return extended ? clusterBytes() / SUBCLUSTERS : clusterBytes();
    }

    /// How many parts a cluster has: 1 or 32.
    public int subclusters() {
        return extended ? SUBCLUSTERS : 1;
    }

    /// How many clusters a refcount block counts.
    public int refcountsPerBlock() {
        return 1 << (clusterBits + 3 - refcountOrder);
    }

    /// The largest refcount; for 64 bits it is less than it could be, so that it is a number.
    public long refcountMax() {
        return refcountOrder == 6 ? Long.MAX_VALUE : (1L << (1 << refcountOrder)) - 1;
    }
}
