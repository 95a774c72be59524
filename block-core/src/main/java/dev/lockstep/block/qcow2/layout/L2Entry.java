package dev.lockstep.block.qcow2.layout;

/// What the bits of an L1 or L2 entry mean. An extended entry has a second word: the bitmap of its
/// subclusters. (qcow2.txt, "Cluster mapping".)
public final class L2Entry {
    /// The refcount of what the entry points to is exactly one, so that it may be written in place.
    public static final long COPIED = 1L << 63;

    /// The cluster is compressed.
    public static final long COMPRESSED = 1L << 62;

    /// The cluster reads as zeroes (standard entries of version 3).
    public static final long ZERO = 1;

    /// Where a standard cluster or a table begins.
    public static final long OFFSET_MASK = 0x00ff_ffff_ffff_fe00L;

    /// All subclusters are allocated.
    public static final long ALL_ALLOCATED = 0xffff_ffffL;

    /// All subclusters read as zeroes.
    public static final long ALL_ZERO = 0xffff_ffffL << 32;

    private static final long RESERVED_MASK = 0x3f00_0000_0000_01feL;
    private static final long L1_RESERVED_MASK = 0x7f00_0000_0000_01ffL;

    private L2Entry() {}

    /// Where the cluster or table begins, 0 if there is none.
    public static long offset(long word) {
        return word & OFFSET_MASK;
    }

    /// Whether what the entry points to may be written in place.
    public static boolean isCopied(long word) {
        return (word & COPIED) != 0;
    }

    /// Whether the cluster is compressed.
    public static boolean isCompressed(long word) {
        return (word & COMPRESSED) != 0;
    }

    /// Where the compressed bytes begin.
    public static long compressedOffset(long word, int clusterBits) {
        return word & ((1L << compressedShift(clusterBits)) - 1) & 0x00ff_ffff_ffff_ffffL;
    }

    /// How many bytes of the file, up to the end of a sector, may belong to the compressed cluster.
    public static int compressedBytes(long word, int clusterBits) {
        int shift = compressedShift(clusterBits);
        int sectors = (int) ((word & (COMPRESSED - 1)) >>> shift) + 1;
        return sectors * 512 - (int) (compressedOffset(word, clusterBits) & 511);
    }

    /// The entry of a compressed cluster.
    ///
    /// @param offset where its bytes begin, no need to be aligned
    /// @param bytes how many there are, at least 1
    public static long compressed(long offset, int bytes, int clusterBits) {
        long sectors = ((offset + bytes - 1) >>> 9) - (offset >>> 9);
        return COMPRESSED | (sectors << compressedShift(clusterBits)) | offset;
    }

    /// The first byte that the entry of a compressed cluster cannot point to.
    public static long compressedLimit(int clusterBits) {
        return 1L << Math.min(56, compressedShift(clusterBits));
    }

    /// Whether a standard L2 entry has reserved bits set, which only a damaged image has.
    public static boolean isDamaged(long word, Geometry geometry) {
        if (isCompressed(word)) {
            return isCopied(word);
        }
        long reserved = geometry.extended() ? RESERVED_MASK | ZERO : RESERVED_MASK;
        return (word & reserved) != 0 || (offset(word) & (geometry.clusterBytes() - 1)) != 0;
    }

    /// Whether an L1 entry has reserved bits set or does not point to a cluster that can be a
    /// table: the first one is the header's.
    public static boolean isDamagedL1(long word, Geometry geometry) {
        return (word & L1_RESERVED_MASK) != 0
                || (word != 0 && offset(word) == 0)
                || (offset(word) & (geometry.clusterBytes() - 1)) != 0;
    }

    /// Whether a bitmap says of a subcluster that it is allocated and that it is zero.
    public static boolean isDamagedBitmap(long bitmap) {
        return (bitmap & (bitmap >>> 32) & ALL_ALLOCATED) != 0;
    }

    private static int compressedShift(int clusterBits) {
        return 62 - (clusterBits - 8);
    }
}
