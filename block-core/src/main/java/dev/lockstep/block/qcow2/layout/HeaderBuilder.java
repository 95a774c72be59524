package dev.lockstep.block.qcow2.layout;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.List;

/// Collects what a [Header] is made of. Nothing is checked: the values are the program's own.
public final class HeaderBuilder {
    private int version = 3;
    private int clusterBits = 16;
    private long size;
    private int l1Entries;
    private long l1Offset;
    private long refcountTableOffset;
    private int refcountTableClusters;
    private int snapshotCount;
    private long snapshotsOffset;
    private Features features = Features.NONE;
    private int refcountOrder = Header.REFCOUNT_ORDER_DEFAULT;
    private CompressionType compression = CompressionType.DEFLATE;
    private @Nullable String backingFile;
    private @Nullable String backingFormat;
    private @Nullable String externalDataFile;
    private @Nullable BitmapsExtension bitmaps;
    private List<UnknownExtension> unknownExtensions = List.of();
    private ByteBuffer unknownFields = ByteBuffer.allocate(0);

    HeaderBuilder() {}

    HeaderBuilder(Header from) {
        version = from.version();
        clusterBits = from.clusterBits();
        size = from.size();
        l1Entries = from.l1Entries();
        l1Offset = from.l1Offset();
        refcountTableOffset = from.refcountTableOffset();
        refcountTableClusters = from.refcountTableClusters();
        snapshotCount = from.snapshotCount();
        snapshotsOffset = from.snapshotsOffset();
        features = from.features();
        refcountOrder = from.refcountOrder();
        compression = from.compression();
        backingFile = from.backingFile();
        backingFormat = from.backingFormat();
        externalDataFile = from.externalDataFile();
        bitmaps = from.bitmaps();
        unknownExtensions = from.unknownExtensions();
        unknownFields = from.unknownFields();
    }

    /// 2 or 3.
    public HeaderBuilder version(int changed) {
        version = changed;
        return this;
    }

    /// A cluster has `1 << bits` bytes.
    public HeaderBuilder clusterBits(int bits) {
        clusterBits = bits;
        return this;
    }

    /// The length of the guest's disk.
    public HeaderBuilder size(long bytes) {
        size = bytes;
        return this;
    }

    /// The active L1 table.
    public HeaderBuilder l1(long offset, int entries) {
        l1Offset = offset;
        l1Entries = entries;
        return this;
    }

    /// The refcount table.
    public HeaderBuilder refcountTable(long offset, int clusters) {
        refcountTableOffset = offset;
        refcountTableClusters = clusters;
        return this;
    }

    /// The snapshot table.
    public HeaderBuilder snapshots(long offset, int count) {
        snapshotsOffset = offset;
        snapshotCount = count;
        return this;
    }

    /// All feature bits at once.
    public HeaderBuilder features(Features changed) {
        features = changed;
        return this;
    }

    /// One feature bit.
    public HeaderBuilder feature(Feature feature, boolean set) {
        features = features.with(feature, set);
        return this;
    }

    /// A refcount has `1 << order` bits.
    public HeaderBuilder refcountOrder(int order) {
        refcountOrder = order;
        return this;
    }

    /// How compressed clusters are compressed, and the feature bit that goes with it.
    public HeaderBuilder compression(CompressionType type) {
        compression = type;
        return feature(Feature.COMPRESSION_TYPE, type != CompressionType.DEFLATE);
    }

    /// The backing file and its format as they are recorded.
    public HeaderBuilder backing(@Nullable String file, @Nullable String format) {
        backingFile = file;
        backingFormat = format;
        return this;
    }

    /// The recorded name of the external data file.
    public HeaderBuilder externalDataFile(@Nullable String name) {
        externalDataFile = name;
        return this;
    }

    /// Where the bitmaps are, and the feature bit that vouches for them.
    public HeaderBuilder bitmaps(@Nullable BitmapsExtension extension) {
        bitmaps = extension;
        return feature(Feature.BITMAPS, extension != null);
    }

    HeaderBuilder unknown(List<UnknownExtension> extensions, ByteBuffer fields) {
        unknownExtensions = extensions;
        unknownFields = fields;
        return this;
    }

    /// The header.
    public Header build() {
        return new Header(
                version,
                clusterBits,
                size,
                l1Entries,
                l1Offset,
                refcountTableOffset,
                refcountTableClusters,
                snapshotCount,
                snapshotsOffset,
                features,
                refcountOrder,
                compression,
                backingFile,
                backingFormat,
                externalDataFile,
                bitmaps,
                unknownExtensions,
                unknownFields);
    }
}
