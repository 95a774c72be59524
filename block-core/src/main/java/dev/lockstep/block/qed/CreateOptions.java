package dev.lockstep.block.qed;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;

/// What a new image is to be, in the words of `qemu-img create -o`.
///
/// @param size the length of the guest's disk; it is rounded up to whole sectors of 512 bytes
/// @param clusterSize bytes, a power of two from 4 KiB to 64 MiB
/// @param tableSize clusters a table, a power of two from 2 to 16: QEMU takes an image whose tables
///     have one cluster for damaged
/// @param backingFile the name to record, or null
/// @param backingFormat its format, or null; only that it is raw can be recorded
public record CreateOptions(
        long size,
        int clusterSize,
        int tableSize,
        @Nullable String backingFile,
        @Nullable String backingFormat) {
    /// 64 KiB.
    public static final int CLUSTER_SIZE_DEFAULT = 64 << 10;

    /// With clusters of 64 KiB an L2 table maps 2 GiB.
    public static final int TABLE_SIZE_DEFAULT = 4;

    /// Rounds the size; whether the whole is possible is seen when an image is made.
    public CreateOptions {
        size = size < 0 ? size : (size + Header.SECTOR_BYTES - 1) & -Header.SECTOR_BYTES;
    }

    /// The same for a disk of another length.
    public CreateOptions withSize(long bytes) {
        return new CreateOptions(bytes, clusterSize, tableSize, backingFile, backingFormat);
    }

    /// The header of such an image.
    ///
    /// @throws BlockException with one sentence that says what is not possible
    Header header() throws BlockException {
        require(
                Integer.bitCount(clusterSize) == 1
                        && clusterSize >= 1 << Header.CLUSTER_BITS_MIN
                        && clusterSize <= 1 << Header.CLUSTER_BITS_MAX,
                "cluster_size is a power of two from 4096 to 64M");
        require(
                Integer.bitCount(tableSize) == 1
                        && tableSize > 1
                        && tableSize <= Header.TABLE_CLUSTERS_MAX,
                "table_size is 2, 4, 8 or 16");
        int clusterBits = Integer.numberOfTrailingZeros(clusterSize);
        long max = Header.sizeMax(clusterBits, tableSize);
        require(
                size >= 0 && size <= max,
                "with such clusters and tables it has at most %d bytes".formatted(max));
        String name = backingFile;
        require(
                name == null
                        || name.getBytes(StandardCharsets.UTF_8).length <= Header.NAME_BYTES_MAX,
                "a backing file's name has at most %d bytes".formatted(Header.NAME_BYTES_MAX));
        Header bare =
                new Header(clusterBits, tableSize, 1, 0, 0, 0, 1L << clusterBits, size, 0, null);
        return bare.withBacking(name, "raw".equals(backingFormat));
    }

    private static void require(boolean possible, String rule) throws BlockException {
        if (!possible) {
            throw new BlockException(Kind.INVALID, "no such QED image: " + rule);
        }
    }
}
