package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;

/// An L2 entry, standard and extended ones alike.
///
/// @param word where the cluster is, and the flags of [L2Entry] but for `ZERO`
/// @param bitmap which subclusters are allocated and which read as zeroes, as in an extended entry;
///     of a standard one all are alike
public record Entry(long word, long bitmap) {
    /// Of a cluster that is not mapped.
    public static final Entry NONE = new Entry(0, 0);

    /// Of a cluster that reads as zeroes and has no place.
    public static final Entry ZERO = new Entry(0, L2Entry.ALL_ZERO);

    /// Of a cluster that lies at `host` as a whole, and nowhere else.
    public static Entry data(long host) {
        return new Entry(host | L2Entry.COPIED, L2Entry.ALL_ALLOCATED);
    }

    /// Of a compressed cluster.
    ///
    /// @param host where its bytes begin
    /// @param bytes how many there are
    public static Entry compressed(long host, int bytes, Geometry geometry) {
        return new Entry(L2Entry.compressed(host, bytes, geometry.clusterBits()), 0);
    }

    /// Whether the cluster has a place of its own that may be written.
    public boolean isOwned() {
        return L2Entry.isCopied(word);
    }

    /// Whether it is compressed.
    public boolean isCompressed() {
        return L2Entry.isCompressed(word);
    }

    /// Where the cluster lies, 0 if nowhere or if it is compressed.
    public long host() {
        return isCompressed() ? 0 : L2Entry.offset(word);
    }
}
