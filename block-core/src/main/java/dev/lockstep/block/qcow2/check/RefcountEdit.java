package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.RefcountBlock;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/// Changes refcounts where they are.
final class RefcountEdit {
    private final ImageFile image;
    private final Geometry geometry;
    private final References references;

    RefcountEdit(ImageFile image, References references) {
        this.image = image;
        geometry = image.geometry();
        this.references = references;
    }

    /// Whether each refcount that is too low has a block.
    boolean canRaise() throws BlockException {
        for (long at = references.next(0); at >= 0; at = references.next(at + 1)) {
            if (isTooLow(at) && block(at) == 0) {
                return false;
            }
        }
        return true;
    }

    void raise() throws BlockException {
        edit(true);
    }

    void lower() throws BlockException {
        edit(false);
    }

    private void edit(boolean raise) throws BlockException {
        int perBlock = geometry.refcountsPerBlock();
        ByteBuffer block = null;
        long blockNumber = -1;
        long blockOffset = 0;
        for (long at = references.next(0); at >= 0; at = references.next(at + 1)) {
            if (raise ? !isTooLow(at) : !isHigherThanNeeded(at)) {
                continue;
            }
            if (block == null || at / perBlock != blockNumber) {
                write(blockOffset, block);
                blockNumber = at / perBlock;
                blockOffset = block(at);
                block = image.read(blockOffset, geometry.clusterBytes());
            }
            int index = (int) (at % perBlock);
            long count = Math.min(references.total(at), geometry.refcountMax());
            RefcountBlock.set(block, index, geometry.refcountOrder(), count);
        }
        write(blockOffset, block);
        image.sync();
    }

    private void write(long offset, @Nullable ByteBuffer block) throws BlockException {
        if (block != null && offset != 0) {
            image.write(offset, block.rewind());
        }
    }

    private boolean isTooLow(long cluster) {
        return Long.compareUnsigned(references.recorded(cluster), references.total(cluster)) < 0;
    }

    private boolean isHigherThanNeeded(long cluster) {
        return Long.compareUnsigned(references.recorded(cluster), references.total(cluster)) > 0;
    }

    /// Where the block of a cluster's refcount is, or 0. Blocks were found sound.
    private long block(long cluster) throws BlockException {
        long index = cluster / geometry.refcountsPerBlock();
        long entries =
                ((long) image.header().refcountTableClusters() << geometry.clusterBits())
                        / Long.BYTES;
        return index >= entries
                ? 0
                : image.read(image.header().refcountTableOffset() + index * Long.BYTES, Long.BYTES)
                        .getLong(0);
    }
}
