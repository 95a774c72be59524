package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.locks.ReentrantLock;

/// How often each cluster of the file is referenced, and which are free. All changes happen in
/// memory; [Commit] has them written.
///
/// The table of refcount blocks is in memory as a whole, the blocks as far as they are needed.
public final class Refcounts {
    /// The largest table, as QEMU has it: 8 MiB, or 1 Mi blocks.
    public static final int TABLE_BYTES_MAX = 8 << 20;

    /// So much may always wait to be written, however small clusters are.
    private static final int DIRTY_BYTES = 1 << 20;

    /// The first bit of an offset that no table entry can hold.
    private static final int OFFSET_BITS = 56;

    private static final HostRange NOTHING = new HostRange(-1, 0);

    /// Guards: all fields below. Held while a block is read and while the file is made longer.
    private final ReentrantLock lock = new ReentrantLock();

    private final HostFile file;
    private final Geometry geometry;
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
    private List<HostRange> guarded = List.of();
    private int dirtyBlocks;

    /// Whether `dirtyBlocks` is too many; read without the lock.
    private volatile boolean full;

    /// Where the next compressed cluster may begin, in a cluster that is in use; 0 if nowhere.
    private long packedEnd;

    /// Every cluster below it is in use, unless a block was never looked at.
    private long firstFree;

    /// From here on nothing was ever written since the file was made longer: it reads as zeroes.
    private long neverUsed;

    /// The end of what is in use, as far as it was looked at, in clusters.
    private long usedEnd;

    /// Reads the refcount table.
    ///
    /// @param cachedBlocks how many blocks are kept in memory at least
    public Refcounts(
            HostFile file, Geometry geometry, long tableOffset, int tableClusters, int cachedBlocks)
            throws BlockException {
        this.file = file;
        this.geometry = geometry;
        this.tableOffset = tableOffset;
        perBlock = geometry.refcountsPerBlock();
        cachedBlocksMax = Math.max(4, cachedBlocks);
        dirtyBlocksMax = Math.max(cachedBlocksMax, DIRTY_BYTES >>> geometry.clusterBits());
        int entries = tableClusters << (geometry.clusterBits() - 3);
        table = file.readTable("refcount table", tableOffset, entries);
        neverUsed = geometry.clusters(file.size());
        usedEnd = neverUsed;
    }

    /// Allocates up to `count` clusters, one after the other.
    ///
    /// @throws BlockException with `NO_SPACE` if there is no room
    public Allocated allocate(long count) throws BlockException {
        lock.lock();
        try {
            HostRange run = freeRun(count);
            boolean zero = run.cluster() >= neverUsed;
            occupy(run);
            return new Allocated(run, zero);
        } finally {
            lock.unlock();
        }
    }

    /// Allocates exactly `count` clusters, one after the other, for a table.
    ///
    /// @throws BlockException with `NO_SPACE` if there is no room
    public HostRange allocateTable(long count) throws BlockException {
        lock.lock();
        try {
            return reserve(count);
        } finally {
            lock.unlock();
        }
    }

    /// Finds room for the bytes of a compressed cluster: behind those of the one before, where they
    /// fit or can go on in the next cluster. Each cluster that they touch counts them once.
    ///
    /// @return where they begin
    /// @throws BlockException with `NO_SPACE` if there is no room
    public long allocateBytes(int bytes) throws BlockException {
        lock.lock();
        try {
            long start = packedEnd;
            long left = -start & (geometry.clusterBytes() - 1);
            boolean shares = left > 0 && get(geometry.cluster(start)) < geometry.refcountMax();
            if (!shares || bytes > left) {
                HostRange fresh = freeRun(1);
                occupy(fresh);
                shares &= fresh.cluster() == geometry.cluster(start) + 1;
                start = shares ? start : fresh.cluster() << geometry.clusterBits();
            }
            if (start + bytes > L2Entry.compressedLimit(geometry.clusterBits())) {
                throw file.full();
            }
            if (shares) {
                addOne(geometry.cluster(start), 1);
            }
            packedEnd = start + bytes;
            return start;
        } finally {
            lock.unlock();
        }
    }

    /// Takes one reference away from each cluster. Nobody uses those any more that have none then.
    public void release(HostRange range) throws BlockException {
        add(range, -1);
    }

    /// Adds to the refcounts of some clusters.
    ///
    /// @throws BlockException if a refcount would be negative or not fit its bits; those before it
    ///     are changed
    public void add(HostRange range, long change) throws BlockException {
        lock.lock();
        try {
            for (long cluster = range.cluster(); cluster < range.end(); cluster++) {
                addOne(cluster, change);
            }
        } finally {
            lock.unlock();
        }
    }

    /// Says where the header and the tables are that nothing else may ever take the place of: a
    /// damaged image may count them as free.
    public void guard(List<HostRange> tables) {
        lock.lock();
        try {
            guarded = List.copyOf(tables);
        } finally {
            lock.unlock();
        }
    }

    /// Whether a cluster has one reference, and will have no other: it is about to be free.
    boolean isLeaving(long cluster) throws BlockException {
        lock.lock();
        try {
            if (get(cluster) != 1) {
                return false;
            }
            closePacked(cluster);
            return true;
        } finally {
            lock.unlock();
        }
    }

    /// How often a cluster is referenced.
    public long get(long cluster) throws BlockException {
        lock.lock();
        try {
            CachedBlock block = block(cluster);
            return block == null ? 0 : block.block.get(index(cluster));
        } finally {
            lock.unlock();
        }
    }

    /// The end of what is in use, in bytes of the file; what is beyond may be cut off.
    public long usedBytes() {
        lock.lock();
        try {
            return usedEnd << geometry.clusterBits();
        } finally {
            lock.unlock();
        }
    }

    /// Whether more has changed than should be kept in memory.
    public boolean isFull() {
        return full;
    }

    /// Takes what has changed since it was last taken.
    RefcountChanges take() {
        lock.lock();
        try {
            Map<Long, ByteBuffer> changed = new LinkedHashMap<>();
            blocks.forEach(
                    (number, cached) -> {
                        if (cached.dirty) {
                            cached.dirty = false;
                            cached.committing = true;
                            changed.put(
                                    table[number], ByteBuffer.wrap(cached.block.bytes().clone()));
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
        } finally {
            lock.unlock();
        }
    }

    /// Says that what was taken has been written.
    void written() {
        lock.lock();
        try {
            blocks.values().forEach(cached -> cached.committing = false);
        } finally {
            lock.unlock();
        }
    }

    /// Gives back what could not be written, so that the next commit takes it again.
    void putBack(RefcountChanges changes) {
        lock.lock();
        try {
            for (CachedBlock cached : blocks.values()) {
                if (cached.committing) {
                    cached.committing = false;
                    markDirty(cached);
                }
            }
            tableMoved |= changes.table() != null;
            changes.entries().keySet().forEach(changedEntries::set);
            oldTables.addAll(changes.oldTables());
        } finally {
            lock.unlock();
        }
    }

    private void markDirty(CachedBlock cached) {
        if (!cached.dirty) {
            cached.dirty = true;
            dirtyBlocks++;
            full = dirtyBlocks >= dirtyBlocksMax;
        }
    }

    private void addOne(long cluster, long change) throws BlockException {
        CachedBlock cached = block(cluster);
        long before = cached == null ? 0 : cached.block.get(index(cluster));
        long after = before + change;
        if (cached == null || after < 0) {
            throw file.corrupt(
                    "the cluster at 0x%x is in use and has a refcount of %d"
                            .formatted(cluster << geometry.clusterBits(), before));
        }
        if (after > geometry.refcountMax()) {
            throw new BlockException(
                    Kind.NO_SPACE,
                    "%s: the cluster at 0x%x has %d references already, more than refcounts of %d"
                                    .formatted(
                                            file.description(),
                                            cluster << geometry.clusterBits(),
                                            before,
                                            1 << geometry.refcountOrder())
                            + " bits can count");
        }
        cached.block.set(index(cluster), after);
        markDirty(cached);
        if (after == 0) {
            firstFree = Math.min(firstFree, cluster);
            closePacked(cluster);
        }
    }

    private void closePacked(long cluster) {
        packedEnd = cluster == geometry.cluster(packedEnd) ? 0 : packedEnd;
    }

    /// Some free clusters whose block is there, at most `count`.
    private HostRange freeRun(long count) throws BlockException {
        while (true) {
            int number = blockNumber(firstFree);
            CachedBlock cached = blockOrNew(number, NOTHING);
            int from = index(firstFree);
            int first = from;
            while (first < perBlock && cached.block.get(first) != 0) {
                first++;
            }
            firstFree += first - from;
            if (first == perBlock) {
                continue;
            }
            int end = first + 1;
            while (end < perBlock && end - first < count && cached.block.get(end) == 0) {
                end++;
            }
            return new HostRange(firstFree, end - first);
        }
    }

    /// Sets the refcounts of free clusters, whose blocks are there, to one.
    private void occupy(HostRange range) throws BlockException {
        long end = range.end();
        for (HostRange used : guarded) {
            if (range.cluster() < used.end() && used.cluster() < end) {
                throw file.corrupt(
                        "the cluster at 0x%x holds a table and has a refcount of 0"
                                .formatted(range.cluster() << geometry.clusterBits()));
            }
        }
        if (end > 1L << (OFFSET_BITS - geometry.clusterBits())) {
            throw file.full();
        }
        file.grow(end << geometry.clusterBits());
        for (long cluster = range.cluster(); cluster < end; cluster++) {
            CachedBlock cached = Objects.requireNonNull(block(cluster));
            cached.block.set(index(cluster), 1);
            markDirty(cached);
        }
        if (range.cluster() <= firstFree) {
            firstFree = Math.max(firstFree, end);
        }
        neverUsed = Math.max(neverUsed, end);
        usedEnd = Math.max(usedEnd, end);
    }

    /// Finds room for a run of clusters that may reach into blocks which do not exist yet, makes
    /// those, and occupies it.
    private HostRange reserve(long count) throws BlockException {
        long first = firstFree;
        for (long cluster = first; cluster < first + count; cluster++) {
            CachedBlock cached = block(cluster);
            if (cached != null && cached.block.get(index(cluster)) != 0) {
                first = cluster + 1;
            }
        }
        HostRange found = new HostRange(first, count);
        for (int number = blockNumber(first); number <= blockNumber(found.end() - 1); number++) {
            CachedBlock _ = blockOrNew(number, found);
        }
        occupy(found);
        return found;
    }

    /// The block, which is made if it does not exist.
    ///
    /// @param reserved where it must not lie
    private CachedBlock blockOrNew(int number, HostRange reserved) throws BlockException {
        CachedBlock existing = block((long) number * perBlock);
        if (existing != null) {
            return existing;
        }
        if (number >= table.length) {
            growTable(number, reserved);
        }
        // Growing the table may have made it.
        CachedBlock made = block((long) number * perBlock);
        return made == null ? makeBlock(number, reserved) : made;
    }

    /// A block counts itself, unless all of what it counts is reserved: then it lies behind that.
    private CachedBlock makeBlock(int number, HostRange reserved) throws BlockException {
        CachedBlock made =
                new CachedBlock(
                        new RefcountBlock(
                                new byte[geometry.clusterBytes()], geometry.refcountOrder()));
        long own = (long) number * perBlock;
        boolean inside = own >= reserved.cluster() && own < reserved.end();
        long place = inside ? reserved.end() : own;
        if (blockNumber(place) != number) {
            CachedBlock holder = blockOrNew(blockNumber(place), reserved);
            while (holder.block.get(index(place)) != 0) {
                place++;
                holder = blockOrNew(blockNumber(place), reserved);
            }
        }
        table[number] = place << geometry.clusterBits();
        changedEntries.set(number);
        keep(number, made);
        markDirty(made);
        occupy(new HostRange(place, 1));
        return made;
    }

    /// Moves the table to where there is room for more. The old one is given back once no header
    /// points to it.
    private void growTable(int number, HostRange reserved) throws BlockException {
        int perCluster = geometry.clusterBytes() / Long.BYTES;
        // Half as much again, and what the new table itself may need to be counted.
        long wanted = Math.max(number + 1L, table.length + table.length / 2L) + perCluster;
        wanted += Math.ceilDiv(wanted, perCluster) / perBlock + 2;
        long clusters = Math.ceilDiv(wanted, perCluster);
        if (clusters * geometry.clusterBytes() > TABLE_BYTES_MAX) {
            clusters = TABLE_BYTES_MAX / geometry.clusterBytes();
            if (number >= clusters * perCluster) {
                throw file.full();
            }
        }
        HostRange old =
                new HostRange(
                        tableOffset >>> geometry.clusterBits(),
                        Math.ceilDiv(table.length, perCluster));
        table = Arrays.copyOf(table, (int) (clusters * perCluster));
        long before = firstFree;
        firstFree = Math.max(firstFree, reserved.end());
        HostRange moved = reserve(clusters);
        firstFree = Math.min(before, firstFree);
        tableOffset = moved.cluster() << geometry.clusterBits();
        tableMoved = true;
        oldTables.add(old);
    }

    /// The block that counts a cluster, or null if there is none.
    private @Nullable CachedBlock block(long cluster) throws BlockException {
        int number = blockNumber(cluster);
        CachedBlock cached = blocks.get(number);
        if (cached != null || number >= table.length || table[number] == 0) {
            return cached;
        }
        long offset = table[number];
        if (offset != L2Entry.offset(offset)
                || (offset & (geometry.clusterBytes() - 1)) != 0
                || offset >= file.size()) {
            throw file.corrupt("entry %d of the refcount table is 0x%x".formatted(number, offset));
        }
        byte[] bytes = new byte[geometry.clusterBytes()];
        file.read(offset, ByteBuffer.wrap(bytes));
        CachedBlock read = new CachedBlock(new RefcountBlock(bytes, geometry.refcountOrder()));
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

    /// Drops all blocks that need not be written. They are few, and read again when needed.
    void dropUnused() {
        lock.lock();
        try {
            blocks.values().removeIf(cached -> !cached.dirty && !cached.committing);
        } finally {
            lock.unlock();
        }
    }

    private int blockNumber(long cluster) throws BlockException {
        long number = cluster / perBlock;
        if (number >= TABLE_BYTES_MAX / Long.BYTES) {
            throw file.full();
        }
        return (int) number;
    }

    private int index(long cluster) {
        return (int) (cluster & (perBlock - 1));
    }
}
