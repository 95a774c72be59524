package dev.lockstep.block.qcow2.create;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.qcow2.layout.CompressionType;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;

/// What a new image is to be, in the words of `qemu-img create -o`.
///
/// @param size the length of the guest's disk; it is rounded up to whole sectors of 512 bytes
/// @param version 2 (`compat=0.10`) or 3 (`compat=1.1`)
/// @param clusterSize bytes, a power of two from 512 to 2 MiB
/// @param refcountBits a power of two from 1 to 64
/// @param backingFile the name to record, or null
/// @param backingFormat its format to record, or null
/// @param lazyRefcounts whether refcounts may be written late
/// @param extendedL2 whether clusters have subclusters
/// @param compressionType how clusters are compressed
/// @param dataFile the name to record of the file that holds the guest's clusters, or null
/// @param dataFileRaw whether that file shall always be a raw image of the disk
/// @param preallocation what takes its place at once
public record CreateOptions(
        long size,
        int version,
        int clusterSize,
        int refcountBits,
        @Nullable String backingFile,
        @Nullable String backingFormat,
        boolean lazyRefcounts,
        boolean extendedL2,
        CompressionType compressionType,
        @Nullable String dataFile,
        boolean dataFileRaw,
        Preallocation preallocation) {

    /// 64 KiB.
    public static final int CLUSTER_SIZE_DEFAULT = 64 << 10;

    /// Up to 65535 references to a cluster.
    public static final int REFCOUNT_BITS_DEFAULT = 16;

    private static final int SECTOR_BYTES = 512;

    /// Rounds the size; whether the whole is possible is seen when an image is made.
    public CreateOptions {
        size = size < 0 ? size : (size + SECTOR_BYTES - 1) & -SECTOR_BYTES;
    }

    /// The defaults: version 3, clusters of 64 KiB, 16 bits of refcount.
    public static CreateOptions of(long size) {
        return new CreateOptions(
                size,
                3,
                CLUSTER_SIZE_DEFAULT,
                REFCOUNT_BITS_DEFAULT,
                null,
                null,
                false,
                false,
                CompressionType.DEFLATE,
                null,
                false,
                Preallocation.OFF);
    }

    /// Says in one sentence what of these options is not possible, alone or together.
    void check() throws BlockException {
        require(size >= 0, "its size is negative or more than 2^63 bytes");
        require(version == 2 || version == 3, "compat is 0.10 or 1.1");
        require(
                Integer.bitCount(clusterSize) == 1
                        && clusterSize >= 1 << Geometry.CLUSTER_BITS_MIN
                        && clusterSize <= 1 << Geometry.CLUSTER_BITS_MAX,
                "cluster_size is a power of two from 512 to 2M");
        require(
                Integer.bitCount(refcountBits) == 1 && refcountBits > 0 && refcountBits <= 64,
                "refcount_bits is a power of two from 1 to 64");
        require(
                !extendedL2 || clusterSize >= 1 << Header.EXTENDED_CLUSTER_BITS_MIN,
                "extended_l2 needs a cluster_size of at least 16384");
        if (version == 2) {
            require(!lazyRefcounts, "lazy_refcounts needs compat=1.1");
            require(refcountBits == REFCOUNT_BITS_DEFAULT, "refcount_bits needs compat=1.1");
            require(!extendedL2, "extended_l2 needs compat=1.1");
            require(
                    compressionType == CompressionType.DEFLATE,
                    "compression_type needs compat=1.1");
            require(dataFile == null, "data_file needs compat=1.1");
        }
        require(!dataFileRaw || dataFile != null, "data_file_raw needs a data_file");
        require(
                !dataFileRaw || backingFile == null,
                "an image with data_file_raw cannot have a backing file");
        require(
                preallocation == Preallocation.OFF || backingFile == null || extendedL2,
                "preallocation over a backing file needs extended_l2");
        require(
                backingFile == null
                        || backingFile.getBytes(StandardCharsets.UTF_8).length
                                <= Header.BACKING_FILE_BYTES_MAX,
                "a backing file's name has at most 1023 bytes");
        long l1Entries = geometry().l1Entries(size);
        require(
                l1Entries <= Header.L1_ENTRIES_MAX,
                "its size, %d bytes, is too large for clusters of %d bytes"
                        .formatted(size, clusterSize));
    }

    Geometry geometry() {
        return new Geometry(
                Integer.numberOfTrailingZeros(clusterSize),
                extendedL2,
                Integer.numberOfTrailingZeros(refcountBits));
    }

    /// A raw data file is mapped from end to end, since nobody shall need the tables to read it.
    boolean mapped() {
        return preallocation != Preallocation.OFF || dataFileRaw;
    }

    private static void require(boolean possible, String rule) throws BlockException {
        if (!possible) {
            throw new BlockException(Kind.INVALID, "no such qcow2 image: " + rule);
        }
    }
}
