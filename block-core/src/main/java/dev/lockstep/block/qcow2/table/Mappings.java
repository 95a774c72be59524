package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.ReentrantLock;

/// What each guest cluster maps to: the active L1 table, and the L2 tables in slices.
///
/// Looking up takes no lock where the slice is in memory. Who changes the entries of a guest
/// cluster is the only one who does so at that time (the device has range locks); the request that
/// wrote the data has ended by then, so that whoever finds the entry finds the data.
///
/// An L2 table that does not exist in the file yet, or is shared with a snapshot, gets its place
/// when its changes are committed.
public final class Mappings {
    /// A table that has no place in the file, and slices in memory: in the L1 table in memory only.
    private static final long PENDING = 1L << 62;

    /// Some 16 MiB of memory; in clusters of 64 KiB they map 128 TiB.
    private static final int GUARDED_MAX = 1 << 18;

    /// Guards: changes of slices and of l1, `clock`, `dirtySlices`, `unmapped`.
    private final ReentrantLock lock = new ReentrantLock();

    private final HostFile file;
    private final Geometry geometry;
    private final MetadataPlaces places;
    private final Entries entries;
    private final boolean dataElsewhere;
    private final int sliceEntries;
    private final int sliceWords;
    private final int slicesPerTable;
    private final int slicesMax;
    private final ConcurrentHashMap<Long, Slice> slices = new ConcurrentHashMap<>();
    private final ArrayDeque<Slice> clock = new ArrayDeque<>();
    private List<Unmapped> unmapped = new ArrayList<>();
    private int dirtySlices;

    /// Whether `dirtySlices` is too many; read without the lock.
    private volatile boolean full;

    private volatile AtomicLongArray l1;

    /// @param places is told of L2 tables, and asked where the guest's data is
    /// @param dataElsewhere guest data lies in an external data file, where nothing is counted
    /// @param l1 the active table
    /// @param cacheBytes how much of the L2 tables is kept in memory
    /// @param sliceBytes how much is read at once, at most a cluster
    Mappings(
            HostFile file,
            Geometry geometry,
            MetadataPlaces places,
            boolean dataElsewhere,
            long[] l1,
            long cacheBytes,
            int sliceBytes) {
        this.file = file;
        this.geometry = geometry;
        this.places = places;
        this.dataElsewhere = dataElsewhere;
        this.entries = new Entries(geometry, dataElsewhere);
        int bytes = Math.min(sliceBytes, geometry.clusterBytes());
        sliceWords = bytes / Long.BYTES;
        sliceEntries = sliceWords / geometry.entryWords();
        slicesPerTable = geometry.l2Entries() / sliceEntries;
        // A request may need two at once, and each commit some room.
        slicesMax = Math.clamp(cacheBytes / bytes, 8, 1 << 24);
        this.l1 = new AtomicLongArray(l1);
    }

    /// What the bytes from `offset` on map to, as far as they are alike and at most `length`.
    ///
    /// @throws BlockException also if the entry is damaged
    public Mapping lookup(long offset, long length) throws BlockException {
        long absent = absentBytes(offset, length);
        return absent > 0 ? new Mapping.Unallocated(absent) : map(slice(offset), offset, length);
    }

    /// Like [#lookup] if that takes neither waiting nor reading, else null.
    public @Nullable Mapping lookupNow(long offset, long length) throws BlockException {
        long absent = absentBytes(offset, length);
        if (absent > 0) {
            return new Mapping.Unallocated(absent);
        }
        Slice slice = slices.get(sliceNumber(offset));
        if (slice == null || !slice.isLoaded()) {
            return null;
        }
        slice.use();
        return map(slice, offset, length);
    }

    /// The entry of the cluster that a byte is in.
    public Entry entry(long offset) throws BlockException {
        return absentBytes(offset, 1) > 0 ? Entry.NONE : entryOf(slice(offset), offset);
    }

    /// Sets the entry of the cluster that a byte is in. What the entry referred to before, if it is
    /// something else, is given back once that is safe.
    ///
    /// @param why it is given back
    public void set(long offset, Entry entry, Freed why) throws BlockException {
        while (true) {
            Slice slice = slice(offset);
            lock.lock();
            try {
                if (slices.get(slice.number()) == slice) {
                    replace(slice, offset, entry, why);
                    return;
                }
            } finally {
                lock.unlock();
            }
        }
    }

    /// Whether so much has changed that it should be committed before there is more.
    public boolean isFull() {
        return full;
    }

    /// Takes what has changed since it was last taken. Whoever began after this returned finds the
    /// changes.
    DirtyTables take() {
        lock.lock();
        try {
            TreeMap<Integer, List<DirtyTables.Part>> byTable = new TreeMap<>();
            for (Slice slice : clock) {
                if (slice.isDirty()) {
                    slice.dirty(false);
                    slice.committing(true);
                    int offset = (int) (slice.number() % slicesPerTable) * sliceWords * Long.BYTES;
                    byTable.computeIfAbsent(
                                    (int) (slice.number() / slicesPerTable), _ -> new ArrayList<>())
                            .add(new DirtyTables.Part(slice, offset, slice.copy()));
                }
            }
            dirtySlices = 0;
            full = false;
            List<DirtyTables.Table> tables = new ArrayList<>();
            byTable.forEach(
                    (index, parts) ->
                            tables.add(new DirtyTables.Table(index, l1.get(index), parts)));
            List<Unmapped> gone = unmapped;
            unmapped = new ArrayList<>();
            return new DirtyTables(tables, gone);
        } finally {
            lock.unlock();
        }
    }

    /// Gives back what could not be written, so that the next commit takes it again.
    void putBack(DirtyTables changes) {
        lock.lock();
        try {
            for (DirtyTables.Table table : changes.tables()) {
                for (DirtyTables.Part part : table.parts()) {
                    part.slice().committing(false);
                    markDirty(part.slice());
                }
            }
            unmapped.addAll(changes.unmapped());
        } finally {
            lock.unlock();
        }
    }

    /// Says that what was taken has been written.
    void written(DirtyTables changes) {
        lock.lock();
        try {
            for (DirtyTables.Table table : changes.tables()) {
                table.parts().forEach(part -> part.slice().committing(false));
            }
        } finally {
            lock.unlock();
        }
    }

    /// Says where a table lies from now on. What it shared with a snapshot is given back in time.
    void place(DirtyTables.Table table, long host) {
        lock.lock();
        try {
            l1.set(table.index(), host | L2Entry.COPIED);
            places.add(geometry.cluster(host));
            if (table.host() != 0) {
                unmap(new HostRange(geometry.cluster(table.host()), 1), Freed.OTHER);
            }
        } finally {
            lock.unlock();
        }
    }

    /// An entry of the L1 table as it is in the file.
    long l1Word(int index) {
        long word = l1.get(index);
        return word == PENDING ? 0 : word;
    }

    /// The active L1 table as it is in the file. Nothing is in flight and nothing is dirty.
    public long[] l1Table() {
        long[] table = new long[l1.length()];
        for (int index = 0; index < table.length; index++) {
            table[index] = l1Word(index);
        }
        return table;
    }

    /// Puts another L1 table in place, and forgets what is in memory of the L2 tables. Nothing is
    /// in flight and nothing is dirty.
    public void restart(long[] table) {
        lock.lock();
        try {
            slices.clear();
            clock.clear();
            l1 = new AtomicLongArray(table);
        } finally {
            lock.unlock();
        }
    }

    /// Tells of the L2 tables, before they are met; of more than that, as they are.
    void guardTables() {
        AtomicLongArray table = l1;
        int guarded = 0;
        for (int index = 0; index < table.length() && guarded < GUARDED_MAX; index++) {
            long word = l1Word(index);
            if (word != 0 && !L2Entry.isDamagedL1(word, geometry)) {
                places.add(geometry.cluster(L2Entry.offset(word)));
                guarded++;
            }
        }
    }

    private void replace(Slice slice, long offset, Entry entry, Freed why) {
        int at = wordIndex(offset);
        HostRange gone = entries.unmapped(entries.get(slice, at), entry);
        entries.put(slice, at, entry);
        markDirty(slice);
        int index = l1Index(offset);
        if (l1.get(index) == 0) {
            l1.set(index, PENDING);
        }
        if (gone != null) {
            unmap(gone, why);
        }
    }

    private void markDirty(Slice slice) {
        if (!slice.isDirty()) {
            slice.dirty(true);
            dirtySlices++;
            full = dirtySlices > slicesMax / 2;
        }
    }

    private void unmap(HostRange range, Freed why) {
        Unmapped last = unmapped.isEmpty() ? null : unmapped.getLast();
        if (last != null && last.why() == why && last.range().end() == range.cluster()) {
            HostRange both =
                    new HostRange(last.range().cluster(), last.range().count() + range.count());
            unmapped.set(unmapped.size() - 1, new Unmapped(both, why));
        } else {
            unmapped.add(new Unmapped(range, why));
        }
    }

    private Mapping map(Slice slice, long offset, long length) throws BlockException {
        Entry entry = entryOf(slice, offset);
        long inCluster = offset & (geometry.clusterBytes() - 1);
        if (L2Entry.isCompressed(entry.word())) {
            return new Mapping.Compressed(
                    Math.min(length, geometry.clusterBytes() - inCluster),
                    L2Entry.compressedOffset(entry.word(), geometry.clusterBits()),
                    L2Entry.compressedBytes(entry.word(), geometry.clusterBits()));
        }
        long unit = geometry.subclusterBytes();
        Entries.State state = entries.state(entry, offset);
        boolean placed = dataElsewhere ? entry.isOwned() : entry.host() != 0;
        long host = entry.host() + inCluster;
        long covered = unit - (offset & (unit - 1));
        long sliceEnd = ((sliceNumber(offset) + 1) * sliceEntries) << geometry.clusterBits();
        while (covered < length && offset + covered < sliceEnd) {
            long next = offset + covered;
            if ((next & (geometry.clusterBytes() - 1)) == 0) {
                Entry following = entryOf(slice, next);
                boolean alike =
                        !L2Entry.isCompressed(following.word())
                                && following.isOwned() == entry.isOwned()
                                && (placed
                                        ? following.host() == host + covered
                                        : following.host() == 0);
                if (!alike) {
                    break;
                }
                entry = following;
            }
            if (entries.state(entry, next) != state) {
                break;
            }
            covered += unit;
        }
        long alike = Math.min(covered, length);
        return switch (state) {
            case UNALLOCATED -> new Mapping.Unallocated(alike);
            case ZERO -> new Mapping.Zero(alike, entry.isOwned(), placed ? host : -1);
            case DATA -> {
                checkPlace(offset, host, alike);
                yield new Mapping.Data(alike, host, entry.isOwned());
            }
        };
    }

    /// A write beyond the end would make the file as long as a damaged entry says; one elsewhere
    /// may overwrite a table.
    private void checkPlace(long offset, long host, long length) throws BlockException {
        if (dataElsewhere) {
            return;
        }
        long first = geometry.cluster(host);
        long count = geometry.cluster(host + length - 1) - first + 1;
        if (first << geometry.clusterBits() >= file.size() || places.touches(first, count)) {
            throw file.corrupt(
                    "the guest's cluster at 0x%x lies at 0x%x, %s"
                            .formatted(
                                    geometry.clusterStart(offset),
                                    geometry.clusterStart(host),
                                    places.touches(first, count)
                                            ? "where a table is"
                                            : "beyond the end of the file"));
        }
    }

    private Entry entryOf(Slice slice, long offset) throws BlockException {
        Entry entry = entries.get(slice, wordIndex(offset));
        long cluster = geometry.clusterStart(offset);
        if (entries.isDamaged(entry, cluster)) {
            throw file.corrupt(
                    "the L2 entry of the guest's cluster at 0x%x is 0x%x"
                            .formatted(cluster, entry.word()));
        }
        return entry;
    }

    /// How many bytes from here on lie in L2 tables that do not exist.
    private long absentBytes(long offset, long length) {
        AtomicLongArray table = l1;
        long covered = 0;
        while (covered < length && table.get(l1Index(offset + covered)) == 0) {
            covered += geometry.l2Coverage() - (offset + covered) % geometry.l2Coverage();
        }
        return Math.min(covered, length);
    }

    private Slice slice(long offset) throws BlockException {
        long number = sliceNumber(offset);
        Slice found = slices.get(number);
        if (found == null) {
            Slice mine = new Slice(number, sliceWords);
            found = slices.putIfAbsent(number, mine);
            if (found == null) {
                load(mine, offset);
                return mine;
            }
        }
        if (!found.isLoaded()) {
            found.awaitLoaded();
        }
        found.use();
        return found;
    }

    private void load(Slice slice, long offset) throws BlockException {
        try {
            long word = l1.get(l1Index(offset));
            long[] content =
                    word == 0 || word == PENDING
                            ? new long[sliceWords]
                            : read(word, l1Index(offset), (int) (slice.number() % slicesPerTable));
            lock.lock();
            try {
                makeRoom();
                slice.load(content);
                clock.addLast(slice);
            } finally {
                lock.unlock();
            }
        } catch (BlockException e) {
            abandon(slice, e);
            throw e;
        } catch (RuntimeException | Error e) {
            abandon(slice, new BlockException(Kind.IO, "an L2 table could not be read", e));
            throw e;
        }
    }

    private void abandon(Slice slice, BlockException cause) {
        slices.remove(slice.number(), slice);
        slice.fail(cause);
    }

    private long[] read(long l1Word, int index, int sliceInTable) throws BlockException {
        long offset = L2Entry.offset(l1Word);
        if (L2Entry.isDamagedL1(l1Word, geometry)
                || offset >= file.size()
                || places.isFixed(geometry.cluster(offset))) {
            throw file.corrupt("entry %d of the L1 table is 0x%x".formatted(index, l1Word));
        }
        places.add(geometry.cluster(offset));
        file.before(Step.L2_LOAD);
        return file.readTable(
                "L2 table", offset + (long) sliceInTable * sliceWords * Long.BYTES, sliceWords);
    }

    /// Drops what was not used for longest, roughly, until there is room for one more in the cache.
    /// That one comes afterwards: where all others have to stay, it would be dropped itself, again
    /// and again.
    private void makeRoom() {
        for (int looked = 2 * clock.size(); clock.size() >= slicesMax && looked > 0; looked--) {
            Slice oldest = clock.removeFirst();
            if (oldest.takeUsed() || !oldest.canGo()) {
                clock.addLast(oldest);
            } else {
                slices.remove(oldest.number(), oldest);
            }
        }
    }

    /// Drops what was not used since this, or a full cache, last went by.
    void dropUnused() {
        lock.lock();
        try {
            clock.removeIf(
                    slice ->
                            !slice.takeUsed()
                                    && slice.canGo()
                                    && slices.remove(slice.number(), slice));
        } finally {
            lock.unlock();
        }
    }

    private int l1Index(long offset) {
        return (int) (offset / geometry.l2Coverage());
    }

    private long sliceNumber(long offset) {
        return (offset >>> geometry.clusterBits()) / sliceEntries;
    }

    private int wordIndex(long offset) {
        return (int) ((offset >>> geometry.clusterBits()) % sliceEntries) * geometry.entryWords();
    }
}
