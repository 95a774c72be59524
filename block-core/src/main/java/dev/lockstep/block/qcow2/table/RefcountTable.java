package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.layout.RefcountBlock;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The refcount table, all of it in memory, and its blocks as far as they are needed. It tells and
/// sets counts; [Refcounts] decides which, and its lock guards all of this.
final class RefcountTable {
    /// So much may always wait to be written, however small clusters are.
    private static final int DIRTY_BYTES = 1 << 20;

    private final HostFile file;
    private final Geometry geometry;
    private final MetadataPlaces places;
    private final int perBlock;
    private final int cachedBlocksMax;
    private final int dirtyBlocksMax;

    /// In the order of their last use.
    private final Map<Integer, CachedBlock> blocks = new LinkedHashMap<>(16, 0.75f, true);

    private long[] table;
    private long tableOffset;
    private boolean tableMoved;
    private final BitSet changedEntries = new BitSet();
    private final List<HostRange> oldTables = new ArrayList<>();
    private int dirtyBlocks;

    /// Whether `dirtyBlocks` is too many; read without the lock.
    private volatile boolean full;

    /// Reads the table.
    ///
    /// @param cachedBlocks how many blocks are kept in memory at least
    RefcountTable(
            HostFile file,
            Geometry geometry,
            MetadataPlaces places,
            long tableOffset,
            int tableClusters,
            int cachedBlocks)
            throws BlockException {
        this.file = file;
        this.geometry = geometry;
        this.places = places;
        this.tableOffset = tableOffset;
        perBlock = geometry.refcountsPerBlock();
        cachedBlocksMax = Math.max(4, cachedBlocks);
        dirtyBlocksMax = Math.max(cachedBlocksMax, DIRTY_BYTES >>> geometry.clusterBits());
        int entries = tableClusters << (geometry.clusterBits() - 3);
        file.before(Step.REFTABLE_LOAD);
        table = file.readTable("refcount table", tableOffset, entries);
        for (long offset : table) {
            if (offset != 0 && offset == L2Entry.offset(offset) && offset < file.size()) {
                places.add(geometry.cluster(offset));
            }
        }
    }

    /// How many blocks it has room for.
    int length() {
        return table.length;
    }

    /// Where it lies, in clusters.
    HostRange place() {
        long clusters = geometry.clusters((long) table.length * Long.BYTES);
        return new HostRange(geometry.cluster(tableOffset), clusters);
    }

    /// Whether more has changed than should be kept in memory.
    boolean isFull() {
        return full;
    }

    /// Whether there is a block that counts a cluster.
    boolean counts(long cluster) throws BlockException {
        return block(cluster) != null;
    }

    /// The count of a cluster; 0 if no block counts it.
    long get(long cluster) throws BlockException {
        CachedBlock cached = block(cluster);
        return cached == null
                ? 0
                : RefcountBlock.get(cached.bytes, index(cluster), geometry.refcountOrder());
    }

    /// Sets the count of a cluster that has a block.
    void set(long cluster, long count) throws BlockException {
        CachedBlock cached = block(cluster);
        if (cached == null) {
            throw new IllegalStateException("no block counts cluster %d".formatted(cluster));
        }
        RefcountBlock.set(cached.bytes, index(cluster), geometry.refcountOrder(), count);
        markDirty(cached);
    }

    /// Adds a block of zeroes.
    ///
    /// @param place the cluster where it lies
    void add(int number, long place) {
        CachedBlock made = new CachedBlock(ByteBuffer.allocate(geometry.clusterBytes()));
        table[number] = place << geometry.clusterBits();
        places.add(place);
        changedEntries.set(number);
        keep(number, made);
        markDirty(made);
    }

    /// Gives it room for more blocks.
    void extend(int entries) {
        table = Arrays.copyOf(table, entries);
    }

    /// Says where it lies from now on. Where it was is free once no header points there.
    void moveTo(long cluster, HostRange before) {
        tableOffset = cluster << geometry.clusterBits();
        tableMoved = true;
        oldTables.add(before);
    }

    /// The number of the block that counts a cluster.
    int blockNumber(long cluster) throws BlockException {
        long number = cluster / perBlock;
        if (number >= Header.REFCOUNT_TABLE_BYTES_MAX / Long.BYTES) {
            throw file.full();
        }
        return (int) number;
    }

    /// Takes what has changed since it was last taken.
    RefcountChanges take() {
        Map<Long, ByteBuffer> changed = new LinkedHashMap<>();
        blocks.forEach(
                (number, cached) -> {
                    if (cached.dirty) {
                        cached.dirty = false;
                        cached.committing = true;
                        changed.put(table[number], copy(cached.bytes));
                    }
                });
        dirtyBlocks = 0;
        full = false;
        Map<Integer, Long> entries = new LinkedHashMap<>();
        changedEntries.stream().forEach(number -> entries.put(number, table[number]));
        changedEntries.clear();
        RefcountChanges changes =
                new RefcountChanges(
                        changed,
                        tableOffset,
                        tableMoved ? HostFile.bytes(table) : null,
                        entries,
                        List.copyOf(oldTables));
        tableMoved = false;
        oldTables.clear();
        return changes;
    }

    /// Says that what was taken has been written.
    void written() {
        blocks.values().forEach(cached -> cached.committing = false);
    }

    /// Gives back what could not be written, so that the next commit takes it again.
    void putBack(RefcountChanges changes) {
        for (CachedBlock cached : blocks.values()) {
            if (cached.committing) {
                cached.committing = false;
                markDirty(cached);
            }
        }
        tableMoved |= changes.table() != null;
        changes.entries().keySet().forEach(changedEntries::set);
        oldTables.addAll(changes.oldTables());
    }

    /// Drops all blocks that need not be written. They are few, and read again when needed.
    void dropUnused() {
        blocks.values().removeIf(cached -> !cached.dirty && !cached.committing);
    }

    private static ByteBuffer copy(ByteBuffer bytes) {
        return ByteBuffer.allocate(bytes.capacity()).put(bytes.duplicate().clear()).flip();
    }

    private void markDirty(CachedBlock cached) {
        if (!cached.dirty) {
            cached.dirty = true;
            dirtyBlocks++;
            full = dirtyBlocks >= dirtyBlocksMax;
        }
    }

    private @Nullable CachedBlock block(long cluster) throws BlockException {
        int number = blockNumber(cluster);
        CachedBlock cached = blocks.get(number);
        if (cached != null || number >= table.length || table[number] == 0) {
            return cached;
        }
        long offset = table[number];
        if (offset != L2Entry.offset(offset)
                || (offset & (geometry.clusterBytes() - 1)) != 0
                || offset >= file.size()
                || places.isFixed(geometry.cluster(offset))) {
            throw file.corrupt("entry %d of the refcount table is 0x%x".formatted(number, offset));
        }
        ByteBuffer bytes = ByteBuffer.allocate(geometry.clusterBytes());
        file.before(Step.REFBLOCK_LOAD);
        file.read(offset, bytes);
        CachedBlock read = new CachedBlock(bytes);
        keep(number, read);
        return read;
    }

    private void keep(int number, CachedBlock cached) {
        if (blocks.size() - dirtyBlocks >= cachedBlocksMax) {
            Iterator<CachedBlock> oldest = blocks.values().iterator();
            while (oldest.hasNext()) {
                CachedBlock candidate = oldest.next();
                if (!candidate.dirty && !candidate.committing) {
                    oldest.remove();
                    break;
                }
            }
        }
        blocks.put(number, cached);
    }

    private int index(long cluster) {
        return (int) (cluster & (perBlock - 1));
    }
}
