package dev.lockstep.block.qcow2.layout;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/// Takes a header apart and believes nothing of it.
final class HeaderReader {
    private final ByteBuffer head;
    private final long fileBytes;
    private final String description;

    HeaderReader(ByteBuffer head, long fileBytes, String description) {
        this.head = head.slice();
        this.fileBytes = fileBytes;
        this.description = description;
    }

    int clusterBytes() throws BlockException {
        if (head.limit() < Header.PROBE_BYTES || head.getInt(0) != Header.MAGIC) {
            throw error(Kind.INVALID, "this is no qcow2 image: it does not begin with 'QFI\\xfb'");
        }
        int version = version();
        if (version != 2 && version != 3) {
            throw error(
                    Kind.UNSUPPORTED,
                    "version is %s; known are 2 and 3".formatted(unsigned(version)));
        }
        int bits = head.getInt(HeaderFormat.CLUSTER_BITS);
        if (bits < Geometry.CLUSTER_BITS_MIN || bits > Geometry.CLUSTER_BITS_MAX) {
            throw error(
                    Kind.UNSUPPORTED,
                    "cluster_bits is %s; possible are %d to %d"
                            .formatted(
                                    unsigned(bits),
                                    Geometry.CLUSTER_BITS_MIN,
                                    Geometry.CLUSTER_BITS_MAX));
        }
        return 1 << bits;
    }

    Header read() throws BlockException {
        int clusterBytes = clusterBytes();
        if (head.limit() > clusterBytes) {
            head.limit(clusterBytes);
        }
        int headerBytes = headerBytes();
        HeaderBuilder builder =
                Header.builder()
                        .version(version())
                        .clusterBits(head.getInt(HeaderFormat.CLUSTER_BITS));
        int extensionsEnd = backingFile(builder, headerBytes);
        HeaderExtensions extensions = new HeaderExtensions(this, head, headerBytes, extensionsEnd);
        if (version() == 3) {
            features(builder, headerBytes, extensions);
        }
        encryption();
        tables(builder);
        extensions.addTo(builder);
        return builder.build();
    }

    private int version() {
        return head.getInt(4);
    }

    private int headerBytes() throws BlockException {
        int bytes = HeaderFormat.V2_BYTES;
        if (version() == 3 && head.limit() >= HeaderFormat.V3_BYTES) {
            bytes = head.getInt(HeaderFormat.HEADER_LENGTH);
            if (bytes < HeaderFormat.V3_BYTES || bytes % 8 != 0) {
                throw corrupt(
                        "header_length is %s; it is a multiple of 8 and at least %d"
                                .formatted(unsigned(bytes), HeaderFormat.V3_BYTES));
            }
        } else if (version() == 3) {
            bytes = HeaderFormat.V3_BYTES;
        }
        if (bytes > head.limit()) {
            throw corrupt(
                    "it is %d bytes long, of which the first cluster or the file has only %d"
                            .formatted(bytes, head.limit()));
        }
        return bytes;
    }

    /// @return where the extensions end at the latest
    private int backingFile(HeaderBuilder builder, int headerBytes) throws BlockException {
        long offset = head.getLong(HeaderFormat.BACKING_FILE_OFFSET);
        if (offset == 0) {
            return head.limit();
        }
        long bytes = Integer.toUnsignedLong(head.getInt(HeaderFormat.BACKING_FILE_SIZE));
        if (bytes > Header.BACKING_FILE_BYTES_MAX) {
            throw corrupt(
                    "backing_file_size is %d; at most %d is possible"
                            .formatted(bytes, Header.BACKING_FILE_BYTES_MAX));
        }
        if (offset < headerBytes || offset > head.limit() - bytes) {
            throw corrupt(
                    "backing_file_offset is 0x%x; a name of %d bytes has no room there"
                            .formatted(offset, bytes));
        }
        String name = text("backing file name", head.slice((int) offset, (int) bytes));
        builder.backing(name.isEmpty() ? null : name, null);
        return (int) offset;
    }

    private void features(HeaderBuilder builder, int headerBytes, HeaderExtensions extensions)
            throws BlockException {
        Features features =
                new Features(
                        head.getLong(HeaderFormat.INCOMPATIBLE_FEATURES),
                        head.getLong(HeaderFormat.COMPATIBLE_FEATURES),
                        head.getLong(HeaderFormat.AUTOCLEAR_FEATURES));
        long unknown = features.unknownIncompatible();
        if (unknown != 0) {
            throw error(
                    Kind.UNSUPPORTED,
                    "the image uses features that are not known here: "
                            + extensions.featureNames(unknown));
        }
        int order = head.getInt(HeaderFormat.REFCOUNT_ORDER);
        if (order < 0 || order > Header.REFCOUNT_ORDER_MAX) {
            throw corrupt(
                    "refcount_order is %s; at most %d is possible"
                            .formatted(unsigned(order), Header.REFCOUNT_ORDER_MAX));
        }
        int clusterBits = head.getInt(HeaderFormat.CLUSTER_BITS);
        if (features.has(Feature.EXTENDED_L2) && clusterBits < Header.EXTENDED_CLUSTER_BITS_MIN) {
            throw corrupt(
                    "cluster_bits is %d; extended L2 entries need at least %d"
                            .formatted(clusterBits, Header.EXTENDED_CLUSTER_BITS_MIN));
        }
        builder.refcountOrder(order)
                .compression(compression(features, headerBytes))
                .features(features);
    }

    private CompressionType compression(Features features, int headerBytes) throws BlockException {
        boolean present = headerBytes > HeaderFormat.COMPRESSION_TYPE;
        int type = present ? Byte.toUnsignedInt(head.get(HeaderFormat.COMPRESSION_TYPE)) : 0;
        if (features.has(Feature.COMPRESSION_TYPE) != (type != 0)) {
            throw corrupt(
                    "compression_type is %d, and the compression type bit is %s"
                            .formatted(type, type == 0 ? "set" : "clear"));
        }
        CompressionType known = CompressionType.of(type);
        if (known == null) {
            throw error(
                    Kind.UNSUPPORTED,
                    "compression_type is %d; known are 0 (zlib) and 1 (zstd)".formatted(type));
        }
        return known;
    }

    private void encryption() throws BlockException {
        int method = head.getInt(HeaderFormat.CRYPT_METHOD);
        switch (method) {
            case 0 -> {}
            case 1 ->
                    throw error(
                            Kind.UNSUPPORTED,
                            "the image is encrypted with qcow2's old AES, which is not supported:"
                                    + " qemu-img convert can decrypt it");
            case 2 ->
                    throw error(
                            Kind.UNSUPPORTED,
                            "the image is encrypted with LUKS, which is not supported: qemu-img"
                                    + " convert can decrypt it");
            default ->
                    throw error(
                            Kind.UNSUPPORTED,
                            "crypt_method is %s; known are 0 to 2".formatted(unsigned(method)));
        }
    }

    private void tables(HeaderBuilder builder) throws BlockException {
        Header known = builder.features(features()).build();
        long size = head.getLong(HeaderFormat.SIZE);
        long entries = Integer.toUnsignedLong(head.getInt(HeaderFormat.L1_SIZE));
        long needed = size < 0 ? Long.MAX_VALUE : known.geometry().l1Entries(size);
        limit("l1_size", entries, Header.L1_ENTRIES_MAX);
        if (needed > entries) {
            throw corrupt(
                    "size is %s bytes, for which l1_size, %d, is not enough"
                            .formatted(Long.toUnsignedString(size), entries));
        }
        long l1Offset = table("l1_table_offset", HeaderFormat.L1_TABLE_OFFSET, entries * 8);
        long clusters = Integer.toUnsignedLong(head.getInt(HeaderFormat.REFCOUNT_TABLE_CLUSTERS));
        limit(
                "refcount_table_clusters",
                clusters,
                Header.REFCOUNT_TABLE_BYTES_MAX >> known.clusterBits());
        if (clusters == 0) {
            throw corrupt("refcount_table_clusters is 0; an image has a refcount table");
        }
        long refcountTableOffset =
                table(
                        "refcount_table_offset",
                        HeaderFormat.REFCOUNT_TABLE_OFFSET,
                        clusters << known.clusterBits());
        long snapshots = Integer.toUnsignedLong(head.getInt(HeaderFormat.NB_SNAPSHOTS));
        limit("nb_snapshots", snapshots, Header.SNAPSHOTS_MAX);
        long snapshotsOffset =
                table(
                        "snapshots_offset",
                        HeaderFormat.SNAPSHOTS_OFFSET,
                        snapshots * SnapshotEntry.BYTES_MIN);
        builder.size(size)
                .l1(l1Offset, (int) entries)
                .refcountTable(refcountTableOffset, (int) clusters)
                .snapshots(snapshotsOffset, (int) snapshots);
    }

    private Features features() {
        return version() == 2
                ? Features.NONE
                : new Features(
                        head.getLong(HeaderFormat.INCOMPATIBLE_FEATURES),
                        head.getLong(HeaderFormat.COMPATIBLE_FEATURES),
                        head.getLong(HeaderFormat.AUTOCLEAR_FEATURES));
    }

    private void limit(String field, long value, long limit) throws BlockException {
        if (value > limit) {
            throw corrupt("%s is %d; at most %d is possible".formatted(field, value, limit));
        }
    }

    private long table(String field, int at, long bytes) throws BlockException {
        long offset = head.getLong(at);
        table(field, offset, bytes);
        return offset;
    }

    /// Checks that a table begins at a cluster that is not the header's, and ends within the file.
    /// The offset of an empty table is not looked at by anybody.
    void table(String field, long offset, long bytes) throws BlockException {
        if (bytes == 0) {
            return;
        }
        int clusterBytes = clusterBytes();
        if (offset % clusterBytes != 0 || offset == 0) {
            throw corrupt(
                    "%s is 0x%x; it is a multiple of the cluster size, %d, and not 0"
                            .formatted(field, offset, clusterBytes));
        }
        long limit = Math.min(fileBytes, Long.MAX_VALUE - clusterBytes) + clusterBytes - 1;
        if (offset < 0 || bytes > (limit & -clusterBytes) - offset) {
            throw corrupt(
                    "%s is 0x%x; a table of %d bytes there ends beyond the end of the file"
                            .formatted(field, offset, bytes));
        }
    }

    /// Names are UTF-8; QEMU ends them at a zero byte.
    String text(String field, ByteBuffer bytes) throws BlockException {
        int end = 0;
        while (end < bytes.remaining() && bytes.get(bytes.position() + end) != 0) {
            end++;
        }
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(bytes.slice(bytes.position(), end))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "%s: qcow2 header: the %s is no UTF-8 text".formatted(description, field),
                    e);
        }
    }

    BlockException corrupt(String reason) {
        return error(Kind.CORRUPT, reason);
    }

    private BlockException error(Kind kind, String reason) {
        return new BlockException(kind, "%s: qcow2 header: %s".formatted(description, reason));
    }

    private static String unsigned(int value) {
        return Integer.toUnsignedString(value);
    }
}
