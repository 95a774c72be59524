package dev.lockstep.block.qcow2.create;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;

/// How many clusters each part of a new image has; they follow one another in this order, after the
/// header's cluster.
///
/// @param refcountTable the refcount table
/// @param refcountBlocks the refcount blocks, which count all clusters of the image
/// @param l1 the L1 table
/// @param l2 the L2 tables, one for each L1 entry or none
/// @param data the guest's clusters that are in this file
record ImagePlan(long refcountTable, long refcountBlocks, long l1, long l2, long data) {
    private static final long HEADER = 1;

    static ImagePlan of(CreateOptions options) throws BlockException {
        return of(options, options.mapped(), options.dataFile() == null);
    }

    /// Of an image that has all of the guest's clusters, in this file.
    static ImagePlan full(CreateOptions options) throws BlockException {
        return of(options, true, true);
    }

    private static ImagePlan of(CreateOptions options, boolean mapped, boolean here)
            throws BlockException {
        Geometry geometry = options.geometry();
        long l1Entries = geometry.l1Entries(options.size());
        long l1 = Math.max(1, geometry.clusters(l1Entries * Long.BYTES));
        long l2 = mapped ? l1Entries : 0;
        long guest = Math.ceilDiv(options.size(), (long) options.clusterSize());
        long data = mapped && here ? guest : 0;
        long refcountTable = 1;
        long refcountBlocks = 1;
        // The blocks count themselves and the table: each round adds what the last one was short
        // of.
        for (boolean enough = false; !enough; ) {
            long total = HEADER + refcountTable + refcountBlocks + l1 + l2 + data;
            long blocks = Math.ceilDiv(total, (long) geometry.refcountsPerBlock());
            long table = geometry.clusters(blocks * Long.BYTES);
            enough = blocks <= refcountBlocks && table <= refcountTable;
            refcountBlocks = Math.max(blocks, refcountBlocks);
            refcountTable = Math.max(table, refcountTable);
        }
        if (refcountTable * options.clusterSize() > Header.REFCOUNT_TABLE_BYTES_MAX) {
            throw new BlockException(
                    Kind.INVALID,
                    "no such qcow2 image: preallocated, its size, %d bytes, is too large for"
                                    .formatted(options.size())
                            + " clusters of %d bytes and refcounts of %d bits"
                                    .formatted(options.clusterSize(), options.refcountBits()));
        }
        return new ImagePlan(refcountTable, refcountBlocks, l1, l2, data);
    }

    long refcountTableStart() {
        return HEADER;
    }

    long refcountBlocksStart() {
        return refcountTableStart() + refcountTable;
    }

    long l1Start() {
        return refcountBlocksStart() + refcountBlocks;
    }

    long l2Start() {
        return l1Start() + l1;
    }

    long dataStart() {
        return l2Start() + l2;
    }

    long total() {
        return dataStart() + data;
    }
}
