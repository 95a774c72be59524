package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.table.Epochs.Epoch;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// Brings the metadata to stable storage, and the guest's data with it, in the order that the
/// package's description gives.
///
/// A commit covers what was changed before it *began*. So at most one runs, and all who come
/// meanwhile share the next.
final class Commit {
    /// Guards: `began`, `ended`, `failure`. Condition: `changed` wakes those who wait for an end.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private final Geometry geometry;
    private final HostFile file;
    private final ImageHeader header;
    private final Refcounts refcounts;
    private final Mappings mappings;
    private final MetadataPlaces places;
    private final Epochs epochs;
    private final @Nullable HostFile dataFile;
    private final FreeSpace space;
    private long began;
    private long ended;
    private @Nullable BlockException failure;

    /// What was unmapped, and is not reachable any more after a crash either, but may be in use by
    /// requests that began before. Only the running commit touches it.
    private final List<Gone> gone = new ArrayList<>();

    /// The entries of the L1 table that are newer in memory. Only the running commit touches it.
    private final BitSet unwrittenL1 = new BitSet();

    private record Gone(List<Unmapped> ranges, Epoch epoch) {}

    /// @param dataFile the external data file, if there is one
    Commit(
            Geometry geometry,
            HostFile file,
            ImageHeader header,
            Refcounts refcounts,
            Mappings mappings,
            MetadataPlaces places,
            Epochs epochs,
            @Nullable HostFile dataFile,
            FreeSpace space) {
        this.geometry = geometry;
        this.file = file;
        this.header = header;
        this.refcounts = refcounts;
        this.mappings = mappings;
        this.places = places;
        this.epochs = epochs;
        this.dataFile = dataFile;
        this.space = space;
    }

    /// Returns when everything that was changed before is on stable storage.
    void run() throws BlockException {
        lock.lock();
        try {
            long awaited = began + 1;
            while (ended < awaited) {
                if (began == ended) {
                    runNext();
                } else {
                    changed.awaitUninterruptibly();
                }
            }
            // A later one that has ended meanwhile covers this too, and tells how it stands.
            BlockException cause = failure;
            if (cause != null) {
                throw cause.again();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Writes also what a commit leaves for later. No request is in flight.
    void finish() throws BlockException {
        run();
        if (header.isLazy() && header.current().has(Feature.DIRTY)) {
            writeAllRefcounts();
            file.sync();
            header.mark(Feature.DIRTY, false);
        }
    }

    /// Runs one on behalf of all that wait. Called with the lock held, which is released meanwhile.
    private void runNext() {
        began++;
        lock.unlock();
        @Nullable BlockException outcome =
                new BlockException(Kind.IO, "a commit did not end as it should");
        try {
            commit();
            outcome = null;
        } catch (BlockException e) {
            outcome = e;
        } finally {
            lock.lock();
            failure = outcome;
            ended = began;
            changed.signalAll();
        }
    }

    private void commit() throws BlockException {
        DirtyTables changes = mappings.take();
        Map<Integer, Long> places = new HashMap<>();
        boolean done = false;
        try {
            if (!changes.tables().isEmpty()) {
                header.beforeChanges();
            }
            findPlaces(changes, places);
            writeRefcounts();
            syncAll();
            if (!changes.tables().isEmpty()) {
                writeTables(changes, places);
                file.sync();
                writeL1();
            }
            done = true;
        } finally {
            if (done) {
                mappings.written(changes);
            } else {
                mappings.putBack(changes);
                giveBack(places);
            }
        }
        if (!changes.unmapped().isEmpty()) {
            gone.add(new Gone(changes.unmapped(), epochs.next()));
        }
        free();
    }

    private void syncAll() throws BlockException {
        if (dataFile != null) {
            dataFile.sync();
        }
        file.sync();
    }

    /// Takes the references of what nobody can reach any more, nor uses any more.
    private void free() throws BlockException {
        for (int index = 0; index < gone.size(); ) {
            if (!gone.get(index).epoch().isQuiet()) {
                index++;
                continue;
            }
            for (Unmapped each : gone.remove(index).ranges()) {
                space.free(each.range(), each.why());
            }
        }
    }

    private void findPlaces(DirtyTables changes, Map<Integer, Long> places) throws BlockException {
        for (DirtyTables.Table table : changes.tables()) {
            if (table.needsPlace()) {
                HostRange place = refcounts.allocateTable(1);
                places.put(table.index(), place.cluster() << geometry.clusterBits());
            }
        }
    }

    /// Frees the places of tables that could not be written.
    private void giveBack(Map<Integer, Long> places) throws BlockException {
        for (var place : places.entrySet()) {
            if (L2Entry.offset(mappings.l1Word(place.getKey())) != place.getValue()) {
                refcounts.release(new HostRange(geometry.cluster(place.getValue()), 1));
            }
        }
    }

    private void writeRefcounts() throws BlockException {
        if (header.isLazy() && !refcounts.isFull()) {
            return;
        }
        writeAllRefcounts();
    }

    private void writeAllRefcounts() throws BlockException {
        RefcountChanges changes = refcounts.take();
        boolean done = false;
        try {
            for (var block : changes.blocks().entrySet()) {
                file.before(Step.REFBLOCK_UPDATE_PART);
                file.write(block.getKey(), block.getValue());
            }
            if (changes.tableChanges()) {
                file.sync();
                writeRefcountTable(changes);
            }
            refcounts.written();
            done = true;
        } finally {
            if (!done) {
                refcounts.putBack(changes);
            }
        }
    }

    private void writeRefcountTable(RefcountChanges changes) throws BlockException {
        ByteBuffer table = changes.table();
        if (table == null) {
            file.before(Step.REFBLOCK_ALLOC_HOOKUP);
            for (var entry : changes.entries().entrySet()) {
                file.write(
                        changes.tableOffset() + (long) entry.getKey() * Long.BYTES,
                        ByteBuffer.allocate(Long.BYTES).putLong(entry.getValue()).flip());
            }
            return;
        }
        int clusters = (int) geometry.clusters(table.remaining());
        file.before(Step.REFBLOCK_ALLOC_WRITE_TABLE);
        file.write(changes.tableOffset(), table);
        file.sync();
        file.before(Step.REFBLOCK_ALLOC_SWITCH_TABLE);
        header.update(h -> h.withRefcountTable(changes.tableOffset(), clusters));
        file.sync();
        places.fixed(header.tables());
        gone.add(
                new Gone(
                        changes.oldTables().stream()
                                .map(range -> new Unmapped(range, Freed.OTHER))
                                .toList(),
                        epochs.next()));
    }

    private void writeTables(DirtyTables changes, Map<Integer, Long> places) throws BlockException {
        for (DirtyTables.Table table : changes.tables()) {
            Long place = places.get(table.index());
            if (place == null) {
                file.before(Step.L2_UPDATE);
                for (DirtyTables.Part part : table.parts()) {
                    file.write(table.host() + part.offset(), part.bytes());
                }
            } else {
                writeNewTable(table, place);
            }
        }
    }

    private void writeNewTable(DirtyTables.Table table, long place) throws BlockException {
        ByteBuffer bytes = ByteBuffer.allocate(geometry.clusterBytes());
        if (table.host() != 0) {
            file.before(Step.L2_ALLOC_COW_READ);
            file.read(table.host(), bytes);
            bytes.clear();
        }
        for (DirtyTables.Part part : table.parts()) {
            bytes.put(part.offset(), part.bytes(), 0, part.bytes().remaining());
        }
        file.before(Step.L2_ALLOC_WRITE);
        file.write(place, bytes);
        mappings.place(table, place);
        unwrittenL1.set(table.index());
    }

    /// Entries that lie next to each other in one write each.
    private void writeL1() throws BlockException {
        if (unwrittenL1.isEmpty()) {
            return;
        }
        file.before(Step.L1_UPDATE);
        long start = header.current().l1Offset();
        for (int first = unwrittenL1.nextSetBit(0); first >= 0; ) {
            int end = unwrittenL1.nextClearBit(first);
            long[] words = new long[end - first];
            for (int at = 0; at < words.length; at++) {
                words[at] = mappings.l1Word(first + at);
            }
            file.write(start + (long) first * Long.BYTES, HostFile.bytes(words));
            first = unwrittenL1.nextSetBit(end);
        }
        file.sync();
        unwrittenL1.clear();
    }
}
