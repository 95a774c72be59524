package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.Findings;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.RefcountBlock;

import java.nio.ByteBuffer;

/// Reads the refcount table and its blocks. A block that the table has twice is read once.
final class RefcountScan {
    /// The table is read in pieces.
    static final int PIECE_BYTES = 1 << 20;

    private static final long RESERVED_MASK = 0x1ff;

    private final ImageFile image;
    private final Geometry geometry;
    private final Findings findings;
    private final References references;
    private boolean damaged;

    RefcountScan(ImageFile image, Findings findings, References references) {
        this.image = image;
        geometry = image.geometry();
        this.findings = findings;
        this.references = references;
    }

    /// Whether refcounts cannot be changed where they are.
    boolean damaged() {
        return damaged;
    }

    void run() throws BlockException {
        Header header = image.header();
        long offset = header.refcountTableOffset();
        long bytes = (long) header.refcountTableClusters() << header.clusterBits();
        long first = offset >>> header.clusterBits();
        if (first + header.refcountTableClusters() > references.clusters()) {
            damage("the refcount table at 0x%x lies beyond the end of the file".formatted(offset));
        }
        long end = Math.min(first + header.refcountTableClusters(), references.clusters());
        for (long cluster = first; cluster < end; cluster++) {
            references.addStructure(cluster);
        }
        for (long done = 0; done < bytes; done += PIECE_BYTES) {
            int length = (int) Math.min(PIECE_BYTES, bytes - done);
            ByteBuffer piece = image.read(offset + done, length);
            for (int at = 0; at < length; at += Long.BYTES) {
                long word = piece.getLong(at);
                if (word != 0) {
                    entry((done + at) / Long.BYTES, word);
                }
            }
        }
    }

    private void entry(long index, long word) throws BlockException {
        long cluster = word >>> geometry.clusterBits();
        if ((word & RESERVED_MASK) != 0 || word < 0) {
            damage("refcount table entry %d has reserved bits set: 0x%x".formatted(index, word));
        } else if ((word & (geometry.clusterBytes() - 1)) != 0) {
            damage("refcount table entry %d is not aligned: 0x%x".formatted(index, word));
        } else if (cluster >= references.clusters()) {
            damage(
                    "refcount block %d at 0x%x lies beyond the end of the file"
                            .formatted(index, word));
        } else if (references.addStructure(cluster) > 1) {
            damage("refcount block %d at 0x%x is in the table twice".formatted(index, word));
        } else {
            block(index, cluster);
        }
    }

    private void block(long index, long cluster) throws BlockException {
        long first = index * geometry.refcountsPerBlock();
        long count = Math.min(geometry.refcountsPerBlock(), references.clusters() - first);
        if (count <= 0) {
            return;
        }
        ByteBuffer block;
        try {
            block = image.readCluster(cluster);
        } catch (BlockException e) {
            findings.unreadable(e.getMessage());
            return;
        }
        long[] refcounts = RefcountBlock.read(block, (int) count, geometry.refcountOrder());
        for (int at = 0; at < refcounts.length; at++) {
            if (refcounts[at] != 0) {
                references.record(first + at, refcounts[at]);
            }
        }
    }

    private void damage(String what) {
        damaged = true;
        findings.corruption(what);
    }
}
