package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.L2Entry;

import java.util.concurrent.locks.ReentrantLock;

/// How often each cluster of the file is referenced, and which are free. All changes happen in
/// memory; [Commit] has them written.
///
/// The table of refcount blocks is in memory as a whole, the blocks as far as they are needed.
public final class Refcounts {
    /// The first bit of an offset that no table entry can hold.
    private static final int OFFSET_BITS = 56;

    private static final HostRange NOTHING = new HostRange(-1, 0);

    /// Guards: all fields below. Held while a block is read and while the file is made longer.
    private final ReentrantLock lock = new ReentrantLock();

    private final HostFile file;
    private final Geometry geometry;
    private final int perBlock;
    private final RefcountTable table;
    private final MetadataPlaces places;

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
    /// @param places is told of blocks, and asked before anything is placed
    /// @param cachedBlocks how many blocks are kept in memory at least
    Refcounts(
            HostFile file,
            Geometry geometry,
            MetadataPlaces places,
            long tableOffset,
            int tableClusters,
            int cachedBlocks)
            throws BlockException {
        this.file = file;
        this.geometry = geometry;
        perBlock = geometry.refcountsPerBlock();
        this.places = places;
        table = new RefcountTable(file, geometry, places, tableOffset, tableClusters, cachedBlocks);
        neverUsed = geometry.clusters(file.size());
        usedEnd = neverUsed;
    }

    /// Allocates up to `count` clusters, one after the other.
    ///
    /// @throws BlockException with `NO_SPACE` if there is no room
    public Allocated allocate(long count) throws BlockException {
        lock.lock();
        try {
            file.before(Step.CLUSTER_ALLOC);
            HostRange run = freeRun(count);
            claim(run);
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
            file.before(Step.CLUSTER_ALLOC);
            return reserve(count, NOTHING);
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
            file.before(Step.CLUSTER_ALLOC_BYTES);
            long start = packedEnd;
            long left = -start & (geometry.clusterBytes() - 1);
            boolean shares = left > 0 && get(geometry.cluster(start)) < geometry.refcountMax();
            if (!shares || bytes > left) {
                HostRange fresh = freeRun(1);
                claim(fresh);
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
        file.before(Step.CLUSTER_FREE);
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
            return table.get(cluster);
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

    /// Looks for the end of what is in use, in bytes of the file.
    long lookForEnd() throws BlockException {
        lock.lock();
        try {
            while (usedEnd > 0 && table.get(usedEnd - 1) == 0) {
                usedEnd--;
            }
            return usedEnd << geometry.clusterBits();
        } finally {
            lock.unlock();
        }
    }

    /// Says that the file was cut off there: it reads as zeroes when it is longer again.
    void neverUsedFrom(long bytes) {
        lock.lock();
        try {
            neverUsed = geometry.clusters(bytes);
        } finally {
            lock.unlock();
        }
    }

    /// Whether more has changed than should be kept in memory.
    public boolean isFull() {
        return table.isFull();
    }

    /// Takes what has changed since it was last taken.
    RefcountChanges take() {
        lock.lock();
        try {
            return table.take();
        } finally {
            lock.unlock();
        }
    }

    /// Says that what was taken has been written.
    void written() {
        lock.lock();
        try {
            table.written();
        } finally {
            lock.unlock();
        }
    }

    /// Gives back what could not be written, so that the next commit takes it again.
    void putBack(RefcountChanges changes) {
        lock.lock();
        try {
            table.putBack(changes);
        } finally {
            lock.unlock();
        }
    }

    private void addOne(long cluster, long change) throws BlockException {
        long before = table.get(cluster);
        long after = before + change;
        if (after < 0 || !table.counts(cluster)) {
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
        table.set(cluster, after);
        if (after == 0) {
            firstFree = Math.min(firstFree, cluster);
            places.remove(cluster);
            closePacked(cluster);
        }
    }

    private void closePacked(long cluster) {
        packedEnd = cluster == geometry.cluster(packedEnd) ? 0 : packedEnd;
    }

    /// Some free clusters whose block is there, at most `count`.
    private HostRange freeRun(long count) throws BlockException {
        while (true) {
            makeBlock(table.blockNumber(firstFree), NOTHING);
            long blockEnd = (firstFree / perBlock + 1) * perBlock;
            while (firstFree < blockEnd && table.get(firstFree) != 0) {
                firstFree++;
            }
            if (firstFree == blockEnd) {
                continue;
            }
            long end = firstFree + 1;
            while (end < blockEnd && end - firstFree < count && table.get(end) == 0) {
                end++;
            }
            return new HostRange(firstFree, end - firstFree);
        }
    }

    /// Checks that clusters can be used, and makes the file long enough for them.
    private void claim(HostRange range) throws BlockException {
        if (places.touches(range.cluster(), range.count())) {
            throw file.corrupt(
                    "the cluster at 0x%x holds a table and has a refcount of 0"
                            .formatted(range.cluster() << geometry.clusterBits()));
        }
        if (range.end() > 1L << (OFFSET_BITS - geometry.clusterBits())) {
            throw file.full();
        }
        file.grow(range.end() << geometry.clusterBits());
    }

    /// Sets the refcounts of claimed clusters, whose blocks are there, to one.
    private void occupy(HostRange range) throws BlockException {
        long end = range.end();
        for (long cluster = range.cluster(); cluster < end; cluster++) {
            table.set(cluster, 1);
        }
        if (range.cluster() <= firstFree) {
            firstFree = Math.max(firstFree, end);
        }
        neverUsed = Math.max(neverUsed, end);
        usedEnd = Math.max(usedEnd, end);
    }

    /// Finds room for a run of clusters that may reach into blocks which do not exist yet, makes
    /// those, and occupies it.
    ///
    /// @param reserved where those must not lie either: what is being reserved meanwhile, before it
    private HostRange reserve(long count, HostRange reserved) throws BlockException {
        long first = firstFree;
        for (long cluster = first; cluster < first + count; cluster++) {
            if (table.get(cluster) != 0) {
                first = cluster + 1;
            }
        }
        HostRange found = new HostRange(first, count);
        claim(found);
        long start = reserved.count() == 0 ? first : reserved.cluster();
        HostRange both = new HostRange(start, found.end() - start);
        int last = table.blockNumber(found.end() - 1);
        for (int number = table.blockNumber(first); number <= last; number++) {
            makeBlock(number, both);
        }
        occupy(found);
        return found;
    }

    /// Makes a block if it does not exist. It counts itself, unless all of what it counts is
    /// reserved: then it lies behind that.
    ///
    /// @param reserved where it must not lie
    private void makeBlock(int number, HostRange reserved) throws BlockException {
        long own = (long) number * perBlock;
        if (table.counts(own)) {
            return;
        }
        file.before(Step.REFBLOCK_ALLOC);
        if (number >= table.length()) {
            growTable(number, reserved);
            if (table.counts(own)) {
                return;
            }
        }
        long place = own >= reserved.cluster() && own < reserved.end() ? reserved.end() : own;
        if (table.blockNumber(place) != number) {
            makeBlock(table.blockNumber(place), reserved);
            while (table.get(place) != 0) {
                place++;
                makeBlock(table.blockNumber(place), reserved);
            }
        }
        HostRange taken = new HostRange(place, 1);
        claim(taken);
        table.add(number, place);
        occupy(taken);
    }

    /// Moves the table to where there is room for more.
    private void growTable(int number, HostRange reserved) throws BlockException {
        int perCluster = geometry.clusterBytes() / Long.BYTES;
        // Half as much again, and what the new table itself may need to be counted.
        long wanted = Math.max(number + 1L, table.length() + table.length() / 2L) + perCluster;
        wanted += Math.ceilDiv(wanted, perCluster) / perBlock + 2;
        long clusters = Math.ceilDiv(wanted, perCluster);
        if (clusters * geometry.clusterBytes() > Header.REFCOUNT_TABLE_BYTES_MAX) {
            clusters = Header.REFCOUNT_TABLE_BYTES_MAX / geometry.clusterBytes();
            if (number >= clusters * perCluster) {
                throw file.full();
            }
        }
        file.before(Step.REFTABLE_GROW);
        HostRange old = table.place();
        table.extend((int) (clusters * perCluster));
        long before = firstFree;
        firstFree = Math.max(firstFree, reserved.end());
        HostRange moved = reserve(clusters, reserved);
        firstFree = Math.min(before, firstFree);
        table.moveTo(moved.cluster(), old);
    }

    /// Drops from memory what need not be written.
    void dropUnused() {
        lock.lock();
        try {
            table.dropUnused();
        } finally {
            lock.unlock();
        }
    }
}
