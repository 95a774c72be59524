package dev.lockstep.block.qed;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.HostFile;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/// What an image says of itself, found to be possible. (qed_spec.txt, "Header")
///
/// @param clusterBits a cluster has two to the power of this many bytes
/// @param tableClusters how many clusters a table has
/// @param headerClusters how many clusters come before the first that can be used otherwise
/// @param features what whoever opens the image must know
/// @param autoclear what whoever writes to it must know, or clear
/// @param l1Offset where the L1 table begins
/// @param size the length of the guest's disk
/// @param nameOffset where the backing file's name begins
/// @param backingFile the backing file's name, or null
public record Header(
        int clusterBits,
        int tableClusters,
        int headerClusters,
        long features,
        long compatible,
        long autoclear,
        long l1Offset,
        long size,
        int nameOffset,
        @Nullable String backingFile) {

    /// The image has a backing file.
    public static final long BACKING_FILE = 1;

    /// The image may be inconsistent.
    public static final long NEED_CHECK = 2;

    /// The backing file is raw, whatever it looks like.
    public static final long BACKING_RAW = 4;

    /// The fields, in the file's first sector: a change of them is never torn.
    static final int BYTES = 64;

    static final int CLUSTER_BITS_MIN = 12;
    static final int CLUSTER_BITS_MAX = 26;
    static final int TABLE_CLUSTERS_MAX = 16;

    /// QEMU takes no longer ones, and no path is longer.
    static final int NAME_BYTES_MAX = 1023;

    static final int SECTOR_BYTES = 512;

    private static final int MAGIC = 0x00444551;
    private static final long KNOWN = BACKING_FILE | NEED_CHECK | BACKING_RAW;

    /// Reads and checks the header of an image.
    ///
    /// @throws BlockException with one sentence that names the field that is wrong
    public static Header read(HostFile file) throws BlockException {
        ByteBuffer bytes = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
        file.read(0, bytes);
        bytes.flip();
        if (bytes.getInt(0) != MAGIC) {
            throw invalid(file, "the magic bytes of QED are missing");
        }
        int clusterSize = bytes.getInt(4);
        int clusterBits = Integer.numberOfTrailingZeros(clusterSize);
        require(
                Integer.bitCount(clusterSize) == 1
                        && clusterBits >= CLUSTER_BITS_MIN
                        && clusterBits <= CLUSTER_BITS_MAX,
                file,
                "cluster_size is %d, not a power of two from 4096 to 67108864",
                Integer.toUnsignedLong(clusterSize));
        int tableClusters = bytes.getInt(8);
        require(
                Integer.bitCount(tableClusters) == 1
                        && tableClusters > 0
                        && tableClusters <= TABLE_CLUSTERS_MAX,
                file,
                "table_size is %d, not 1, 2, 4, 8 or 16",
                Integer.toUnsignedLong(tableClusters));
        int nameBytes = bytes.getInt(60);
        Header header =
                new Header(
                        clusterBits,
                        tableClusters,
                        bytes.getInt(12),
                        bytes.getLong(16),
                        bytes.getLong(24),
                        bytes.getLong(32),
                        bytes.getLong(40),
                        bytes.getLong(48),
                        bytes.getInt(56),
                        null);
        header.check(file);
        return header.has(BACKING_FILE)
                ? header.with(
                        header.features,
                        header.autoclear,
                        header.size,
                        header.nameOffset,
                        header.name(file, nameBytes))
                : header;
    }

    private void check(HostFile file) throws BlockException {
        if ((features & ~KNOWN) != 0) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "%s: its feature bits 0x%x are not supported: convert it with the program that"
                                    .formatted(file.description(), features & ~KNOWN)
                            + " made it");
        }
        long headerBytes = headerBytes();
        require(
                headerClusters > 0 && headerBytes <= file.size(),
                file,
                "header_size is %d clusters, but the header lies within the file",
                Integer.toUnsignedLong(headerClusters));
        require(
                (l1Offset & (clusterBytes() - 1)) == 0
                        && l1Offset >= headerBytes
                        && l1Offset <= file.size() - tableBytes(),
                file,
                "l1_table_offset is %d, where no whole table lies within the file",
                l1Offset);
        require(
                size >= 0
                        && size % SECTOR_BYTES == 0
                        && size <= sizeMax(clusterBits, tableClusters),
                file,
                "image_size is %d, not a multiple of 512 that the tables can map",
                size);
    }

    private String name(HostFile file, int length) throws BlockException {
        require(
                length > 0 && length <= NAME_BYTES_MAX,
                file,
                "backing_filename_size is %d, not from 1 to 1023",
                Integer.toUnsignedLong(length));
        require(
                nameOffset >= 0 && nameOffset + (long) length <= headerBytes(),
                file,
                "backing_filename_offset is %d, so that the name lies outside of the header",
                Integer.toUnsignedLong(nameOffset));
        ByteBuffer name = ByteBuffer.allocate(length);
        file.read(nameOffset, name);
        return new String(name.array(), StandardCharsets.UTF_8);
    }

    private static void require(boolean possible, HostFile file, String problem, long value)
            throws BlockException {
        if (!possible) {
            throw invalid(file, problem.formatted(value));
        }
    }

    private static BlockException invalid(HostFile file, String problem) {
        return new BlockException(
                Kind.CORRUPT, "%s: no valid QED header: %s".formatted(file.description(), problem));
    }

    /// The longest disk of an image, in whole sectors.
    static long sizeMax(int clusterBits, int tableClusters) {
        int bits = 2 * tableBits(clusterBits, tableClusters) + clusterBits;
        return bits >= Long.SIZE - 1 ? Long.MAX_VALUE & -SECTOR_BYTES : 1L << bits;
    }

    private static int tableBits(int clusterBits, int tableClusters) {
        return clusterBits + Integer.numberOfTrailingZeros(tableClusters) - 3;
    }

    /// The fields as they are written.
    ByteBuffer encode() {
        ByteBuffer bytes = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putInt(MAGIC).putInt(1 << clusterBits).putInt(tableClusters).putInt(headerClusters);
        bytes.putLong(features).putLong(compatible).putLong(autoclear);
        bytes.putLong(l1Offset).putLong(size);
        return bytes.putInt(nameOffset).putInt(nameBytes().length).flip();
    }

    /// The backing file's name as it is written; empty if there is none.
    byte[] nameBytes() {
        String name = backingFile;
        return name == null ? new byte[0] : name.getBytes(StandardCharsets.UTF_8);
    }

    /// Whether a feature bit is set.
    public boolean has(long feature) {
        return (features & feature) != 0;
    }

    /// The same with a feature bit set or not.
    Header with(long feature, boolean set) {
        long others = features & ~feature;
        return with(set ? others | feature : others, autoclear, size, nameOffset, backingFile);
    }

    /// The same for a disk of another length, and without what only its maker knows.
    Header withSize(long bytes) {
        return with(features, 0, bytes, nameOffset, backingFile);
    }

    /// The same with another backing file, whose name follows the fields.
    ///
    /// @param raw whether it is raw, whatever it looks like
    Header withBacking(@Nullable String name, boolean raw) {
        return with(features, autoclear, size, name == null ? 0 : BYTES, name)
                .with(BACKING_FILE, name != null)
                .with(BACKING_RAW, name != null && raw);
    }

    /// The same with the backing file's name in another place.
    Header withNameAt(int offset) {
        return with(features, autoclear, size, offset, backingFile);
    }

    private Header with(
            long newFeatures,
            long newAutoclear,
            long newSize,
            int newNameOffset,
            @Nullable String name) {
        return new Header(
                clusterBits,
                tableClusters,
                headerClusters,
                newFeatures,
                compatible,
                newAutoclear,
                l1Offset,
                newSize,
                newNameOffset,
                name);
    }

    /// The length of a cluster.
    public int clusterBytes() {
        return 1 << clusterBits;
    }

    /// Where the clusters begin that are no header.
    long headerBytes() {
        return Integer.toUnsignedLong(headerClusters) << clusterBits;
    }

    /// The length of a table.
    long tableBytes() {
        return (long) tableClusters << clusterBits;
    }

    /// How many bytes of the guest's disk an L2 table maps.
    long tableCoverage() {
        return 1L << Math.min(Long.SIZE - 2, coverageBits());
    }

    private int coverageBits() {
        return tableBits(clusterBits, tableClusters) + clusterBits;
    }

    /// Where the L1 entry of a guest's byte lies in the file.
    long l1Entry(long guest) {
        return l1Offset + (guest >>> coverageBits()) * Long.BYTES;
    }

    /// Where the L2 entry of a guest's byte lies within its table.
    long l2Entry(long guest) {
        long index = guest >>> clusterBits & (1L << tableBits(clusterBits, tableClusters)) - 1;
        return index * Long.BYTES;
    }

    /// The beginning of the cluster that a byte lies in.
    long clusterStart(long offset) {
        return offset & -clusterBytes();
    }

    /// The first beginning of a cluster that is not before a byte.
    long clusterEnd(long offset) {
        return clusterStart(offset + clusterBytes() - 1);
    }

    /// Whether `length` bytes at a place of a file may be a table or a cluster: aligned, behind the
    /// header, not in the L1 table, and before `end`.
    boolean isPlace(long offset, long length, long end) {
        return clusterStart(offset) == offset
                && offset >= headerBytes()
                && offset <= end - length
                && (offset + length <= l1Offset || offset >= l1Offset + tableBytes());
    }
}
