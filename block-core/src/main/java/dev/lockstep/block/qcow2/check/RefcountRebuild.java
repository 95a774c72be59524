package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.RefcountBlock;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// Writes a new refcount structure beside the old one. It lies in one piece: the table, then the
/// blocks that have a refcount which is not 0.
final class RefcountRebuild {
    private final ImageFile image;
    private final Geometry geometry;
    private final References references;

    /// The numbers of the blocks, ascending.
    private List<Long> blocks = new ArrayList<>();

    private long tableClusters = 1;
    private long start;

    RefcountRebuild(ImageFile image, References references) {
        this(image, references, image.header().refcountOrder());
    }

    /// @param order a refcount has `1 << order` bits from now on, enough for each
    RefcountRebuild(ImageFile image, References references, int order) {
        this.image = image;
        Geometry before = image.geometry();
        geometry = new Geometry(before.clusterBits(), before.extended(), order);
        this.references = references;
    }

    void run() throws BlockException {
        place();
        if (tableClusters << geometry.clusterBits() > Header.REFCOUNT_TABLE_BYTES_MAX) {
            throw new BlockException(
                    Kind.CORRUPT,
                    image.description()
                            + ": the refcounts cannot be rebuilt: there are clusters in use so far"
                            + " back in the file that a refcount table for them would be too long");
        }
        write();
        image.sync();
        image.writeHeader(
                image.header()
                        .but()
                        .refcountOrder(geometry.refcountOrder())
                        .refcountTable(start << geometry.clusterBits(), (int) tableClusters)
                        .build());
        image.sync();
    }

    /// The structure counts itself, so where it lies and how long it is depend on each other: it
    /// only grows, until it holds all that it must.
    private void place() {
        int perBlock = geometry.refcountsPerBlock();
        long length = 0;
        while (length < tableClusters + blocks.size()) {
            length = tableClusters + blocks.size();
            start = freeRun(length);
            blocks = neededBlocks(length);
            long last = blocks.getLast();
            tableClusters = Math.max(tableClusters, geometry.clusters((last + 1) * Long.BYTES));
        }
        assert blocks.getLast() >= (start + length - 1) / perBlock;
    }

    /// The first clusters that nobody refers to, the old structure neither; at the end of the file
    /// if there is no gap.
    private long freeRun(long length) {
        long free = 1;
        for (long at = references.next(1); at >= 0; at = references.next(at + 1)) {
            if (references.total(at) == 0) {
                continue;
            }
            if (at - free >= length) {
                return free;
            }
            free = at + 1;
        }
        return free;
    }

    private List<Long> neededBlocks(long length) {
        int perBlock = geometry.refcountsPerBlock();
        List<Long> needed = new ArrayList<>();
        for (long at = 0; at >= 0; ) {
            long block = at / perBlock;
            needed.add(block);
            at = nextUsed((block + 1) * perBlock, length);
        }
        return needed;
    }

    private long nextUsed(long from, long length) {
        long used = -1;
        for (long at = references.next(from); at >= 0; at = references.next(at + 1)) {
            if (references.found(at) > 0) {
                used = at;
                break;
            }
        }
        long own = from < start ? start : from < start + length ? from : -1;
        return used < 0 || (own >= 0 && own < used) ? own : used;
    }

    private void write() throws BlockException {
        long length = tableClusters + blocks.size();
        long tableStart = start << geometry.clusterBits();
        image.growTo((start + length) << geometry.clusterBits());
        ByteBuffer table = ByteBuffer.allocate((int) (tableClusters << geometry.clusterBits()));
        for (int index = 0; index < blocks.size(); index++) {
            long at = (start + tableClusters + index) << geometry.clusterBits();
            table.putLong((int) (blocks.get(index) * Long.BYTES), at);
            image.write(at, block(blocks.get(index), length));
        }
        image.write(tableStart, table);
    }

    private ByteBuffer block(long number, long length) {
        int perBlock = geometry.refcountsPerBlock();
        long first = number * perBlock;
        ByteBuffer block = ByteBuffer.allocate(geometry.clusterBytes());
        for (int index = 0; index < perBlock; index++) {
            long cluster = first + index;
            boolean own = cluster >= start && cluster < start + length;
            long count = own ? 1 : Math.min(references.found(cluster), geometry.refcountMax());
            RefcountBlock.set(block, index, geometry.refcountOrder(), count);
        }
        return block;
    }
}
