package dev.lockstep.block.qcow2.layout;

import dev.lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.List;

/// The header of an image with its extensions, in version 2 or 3.
///
/// One that was [#parse]d keeps the limits that the package tells of, so that arithmetic on it does
/// not overflow: `size` needs no more L1 entries than there are, tables begin at multiples of the
/// cluster size (the L1 and refcount tables at none of which the header is a part), and the tables
/// end within the file, whose last cluster may be cut short.
///
/// @param version 2 or 3
/// @param clusterBits 9 to 21; with extended L2 entries at least 14
/// @param size the length of the guest's disk in bytes
/// @param l1Entries how many entries the active L1 table has; at most 32 MiB of them
/// @param l1Offset where the active L1 table begins
/// @param refcountTableOffset where the refcount table begins
/// @param refcountTableClusters how long it is; at least 1, at most 8 MiB
/// @param snapshotCount how many snapshots the snapshot table tells of
/// @param snapshotsOffset where the snapshot table begins
/// @param features the feature bits; none in version 2
/// @param refcountOrder a refcount has `1 << refcountOrder` bits; 0 to 6, in version 2 always 4
/// @param compression how compressed clusters are compressed
/// @param backingFile the name of the backing file as it is recorded, or null
/// @param backingFormat the recorded format of the backing file, or null
/// @param externalDataFile the recorded name of the external data file, or null
/// @param bitmaps where the bitmaps are, or null if there are none that can be trusted
/// @param unknownExtensions the extensions that are not known here, in their order
/// @param unknownFields what the header of version 3 has after the compression type; read-only
public record Header(
        int version,
        int clusterBits,
        long size,
        int l1Entries,
        long l1Offset,
        long refcountTableOffset,
        int refcountTableClusters,
        int snapshotCount,
        long snapshotsOffset,
        Features features,
        int refcountOrder,
        CompressionType compression,
        @Nullable String backingFile,
        @Nullable String backingFormat,
        @Nullable String externalDataFile,
        @Nullable BitmapsExtension bitmaps,
        List<UnknownExtension> unknownExtensions,
        ByteBuffer unknownFields) {

    /// What an image begins with: `QFI\xfb`.
    public static final int MAGIC = 0x514649fb;

    /// From these bytes [#clusterBytes] can tell how many [#parse] needs.
    public static final int PROBE_BYTES = 24;

    /// 32 subclusters of 512 bytes.
    public static final int EXTENDED_CLUSTER_BITS_MIN = 14;

    /// 32 MiB of entries of 8 bytes.
    public static final int L1_ENTRIES_MAX = (32 << 20) / Long.BYTES;

    /// The refcount table is never larger.
    public static final int REFCOUNT_TABLE_BYTES_MAX = 8 << 20;

    /// Refcounts have at most 64 bits.
    public static final int REFCOUNT_ORDER_MAX = 6;

    /// Refcounts of version 2, and by default, have 16 bits.
    public static final int REFCOUNT_ORDER_DEFAULT = 4;

    /// The longest name of a backing file.
    public static final int BACKING_FILE_BYTES_MAX = 1023;

    /// The most internal snapshots.
    public static final int SNAPSHOTS_MAX = 65536;

    /// Takes copies of what could change.
    public Header {
        unknownExtensions = List.copyOf(unknownExtensions);
        unknownFields = new UnknownExtension(0, unknownFields).data();
    }

    /// What the header of version 3 has after the compression type, from position to limit.
    @Override
    public ByteBuffer unknownFields() {
        return unknownFields.duplicate();
    }

    /// How long an image's clusters are, the first of which [#parse] wants to see.
    ///
    /// @param probe the image's first [#PROBE_BYTES] bytes or more
    /// @param description what opens every error
    /// @throws BlockException if this is no qcow2 image, or of a version or cluster size that does
    ///     not exist
    public static int clusterBytes(ByteBuffer probe, String description) throws BlockException {
        return new HeaderReader(probe, Long.MAX_VALUE, description).clusterBytes();
    }

    /// Reads a header and checks all of it.
    ///
    /// @param head the image's first cluster, or all of the file if that is shorter
    /// @param fileBytes the file's length, which no table may reach beyond; who repairs images
    ///     passes [Long#MAX_VALUE] and checks that by himself
    /// @param description what opens every error
    /// @throws BlockException one sentence that names the field and what is wrong with it; of kind
    ///     `UNSUPPORTED` where another implementation could open the image, else `CORRUPT`, or
    ///     `INVALID` if this is no qcow2 image
    public static Header parse(ByteBuffer head, long fileBytes, String description)
            throws BlockException {
        return new HeaderReader(head, fileBytes, description).read();
    }

    /// The header as it is written at the beginning of the image: a multiple of 512 bytes, at most
    /// one cluster.
    ///
    /// @throws BlockException if it does not fit into one cluster
    public ByteBuffer encode() throws BlockException {
        return new HeaderWriter(this).write();
    }

    /// How it takes the place of the header of an image, which was found to be sound.
    ///
    /// @param head the image's first cluster as it is in the file
    /// @throws BlockException if it does not fit into one cluster
    public HeaderRewrite rewrite(ByteBuffer head) throws BlockException {
        return new HeaderWriter(this).rewrite(HeaderSpace.of(head));
    }

    /// A header for a new image: version 3, clusters of 64 KiB, no tables yet.
    public static HeaderBuilder builder() {
        return new HeaderBuilder();
    }

    /// What makes a header that differs from this one.
    public HeaderBuilder but() {
        return new HeaderBuilder(this);
    }

    /// The length of a cluster in bytes.
    public int clusterBytes() {
        return 1 << clusterBits;
    }

    /// Whether the feature bit is set.
    public boolean has(Feature feature) {
        return features.has(feature);
    }

    /// The arithmetic of the image.
    public Geometry geometry() {
        return new Geometry(clusterBits, has(Feature.EXTENDED_L2), refcountOrder);
    }

    /// The same with other features.
    public Header with(Features changed) {
        return but().features(changed).build();
    }

    /// The same with a feature bit set or clear.
    public Header with(Feature feature, boolean set) {
        return with(features.with(feature, set));
    }

    /// The same with another active L1 table.
    public Header withL1(long offset, int entries) {
        return but().l1(offset, entries).build();
    }

    /// The same with another refcount table.
    public Header withRefcountTable(long offset, int clusters) {
        return but().refcountTable(offset, clusters).build();
    }

    /// The same with another snapshot table.
    public Header withSnapshots(long offset, int count) {
        return but().snapshots(offset, count).build();
    }

    /// The same with other bitmaps, or none; the feature bit says which.
    public Header withBitmaps(@Nullable BitmapsExtension changed) {
        return but().bitmaps(changed).build();
    }

    /// The same for a guest's disk of another length.
    public Header withSize(long bytes) {
        return but().size(bytes).build();
    }

    /// The same with another backing file, or none.
    public Header withBacking(@Nullable String file, @Nullable String format) {
        return but().backing(file, format).build();
    }
}
