package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.overlay.ByteBudget;
import dev.lockstep.block.overlay.DurableStore;
import dev.lockstep.block.overlay.MapHeader;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Standing;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// Buffers in files, in the overlay format, which a restart finds again.
///
/// There are two sets of files, used in turn. The hidden buffer's map has the name of the
/// checkpoint that the set is for: its generation and its epoch. The name is on stable storage
/// before the side's record of that checkpoint is stored, and nothing is written to the set before
/// the record is. So the record names its buffers by what it is, and whichever record a power cut
/// leaves, the set that it names holds what belongs to it.
final class DurableBuffers implements BufferSource {
    private static final Logger LOG = LoggerFactory.getLogger(DurableBuffers.class);
    private static final List<String> SETS = List.of("a", "b");

    /// Makes and opens files.
    interface Files extends AutoCloseable {
        /// Opens a file, which is made if it is missing and is found again by a later process.
        BlockDevice open(String name) throws BlockException;

        @Override
        void close();
    }

    private final Files files;
    private final List<BufferSet> sets;

    /// Guards: turn, sets, which is empty after closing, and every set.
    private final ReentrantLock lock = new ReentrantLock();

    /// The number of the set that is used next.
    private int turn;

    private DurableBuffers(Files files, List<BufferSet> sets) {
        this.files = files;
        this.sets = sets;
    }

    /// Opens the files, which are closed with this.
    static DurableBuffers open(Files files) throws BlockException {
        boolean opened = false;
        try {
            List<BufferSet> sets = new ArrayList<>();
            for (String set : SETS) {
                sets.add(BufferSet.open(files, set));
            }
            opened = true;
            return new DurableBuffers(files, sets);
        } finally {
            if (!opened) {
                files.close();
            }
        }
    }

    /// Whether the buffers are there that a record names.
    boolean has(DurableRecord record) {
        lock.lock();
        try {
            MapHeader.Name name = name(checkpointOf(record));
            return sets.stream().anyMatch(set -> set.isNamed(name));
        } finally {
            lock.unlock();
        }
    }

    /// The buffers that a record names, with what they hold; null if there are none.
    ///
    /// @throws BlockException if they are there and damaged
    @Nullable Layers find(DurableRecord record, Gate disk, ByteBudget budget)
            throws BlockException {
        lock.lock();
        try {
            MapHeader.Name name = name(checkpointOf(record));
            for (int index = 0; index < sets.size(); index++) {
                if (sets.get(index).isNamed(name)) {
                    turn = index + 1;
                    return sets.get(index).found(disk, budget);
                }
            }
            return null;
        } finally {
            lock.unlock();
        }
    }

    /// The checkpoint that a record's buffers are for. A failover begins a generation and keeps the
    /// checkpoint that it is committing.
    private static Identity checkpointOf(DurableRecord record) {
        Identity identity = record.identity();
        if (record.standing() != Standing.FAILING_OVER || identity.ancestors().isEmpty()) {
            return identity;
        }
        Nonce before = identity.ancestors().getFirst();
        return new Identity(identity.pair(), before, List.of(), identity.epoch());
    }

    private static MapHeader.Name name(Identity checkpoint) {
        Nonce generation = checkpoint.generation();
        return new MapHeader.Name(generation.high(), generation.low(), checkpoint.epoch());
    }

    @Override
    public Layers fresh(Gate disk, ByteBudget budget) throws BlockException {
        lock.lock();
        try {
            checkOpen();
            Layers made = sets.get(turn % sets.size()).fresh(disk, budget);
            turn++;
            return made;
        } finally {
            lock.unlock();
        }
    }

    private void checkOpen() throws BlockException {
        if (sets.isEmpty()) {
            throw new BlockException(Kind.GONE, "the buffers are closed");
        }
    }

    @Override
    public void name(Layers fresh, Identity checkpoint) throws BlockException {
        lock.lock();
        try {
            for (BufferSet set : sets) {
                if (set.isUsedBy(fresh)) {
                    set.name(name(checkpoint));
                    return;
                }
            }
            throw new BlockException(Kind.GONE, "these buffers were released");
        } finally {
            lock.unlock();
        }
    }

    /// Gives their space back, unless the files serve another checkpoint by now.
    @Override
    public void release(Layers old) {
        lock.lock();
        try {
            for (BufferSet set : sets) {
                if (set.isUsedBy(old)) {
                    set.release();
                }
            }
        } catch (BlockException e) {
            LOG.warn("the space of old buffers was not released: {}", e.getMessage());
        } finally {
            lock.unlock();
        }
    }

    @Override
    public boolean isDurable() {
        return true;
    }

    /// Nothing is in flight. Old buffers that nobody released by then keep their space until their
    /// files are used again.
    @Override
    public void close() {
        lock.lock();
        try {
            sets.clear();
            files.close();
        } finally {
            lock.unlock();
        }
    }

    /// The files of one checkpoint's buffers.
    private static final class BufferSet {
        private final Gate hiddenMap;
        private final Gate hiddenData;
        private final Gate activeMap;
        private final Gate activeData;
        private @Nullable DurableStore hidden;
        private @Nullable DurableStore active;
        private @Nullable Layers user;

        private BufferSet(Gate hiddenMap, Gate hiddenData, Gate activeMap, Gate activeData) {
            this.hiddenMap = hiddenMap;
            this.hiddenData = hiddenData;
            this.activeMap = activeMap;
            this.activeData = activeData;
        }

        static BufferSet open(Files files, String name) throws BlockException {
            return new BufferSet(
                    new Gate(files.open(name + ".hidden.map")),
                    new Gate(files.open(name + ".hidden.data")),
                    new Gate(files.open(name + ".active.map")),
                    new Gate(files.open(name + ".active.data")));
        }

        boolean isUsedBy(Layers layers) {
            return layers.equals(user);
        }

        boolean isNamed(MapHeader.Name name) {
            try {
                return DurableStore.header(hiddenMap).name().equals(name);
            } catch (BlockException _) {
                return false;
            }
        }

        Layers found(Gate disk, ByteBudget budget) throws BlockException {
            DurableStore below = DurableStore.open(hiddenMap, hiddenData);
            DurableStore above = DurableStore.open(activeMap, activeData);
            if (below.header().size() != disk.size() || above.header().size() != disk.size()) {
                throw new BlockException(
                        Kind.CORRUPT,
                        "%s: these buffers are for a disk of %d bytes, and this one has %d"
                                .formatted(
                                        hiddenMap.description(),
                                        below.header().size(),
                                        disk.size()));
            }
            return use(below, above, disk, budget);
        }

        Layers fresh(Gate disk, ByteBudget budget) throws BlockException {
            DurableStore below = emptied(hidden, hiddenMap, hiddenData, disk.size());
            DurableStore above = emptied(active, activeMap, activeData, disk.size());
            return use(below, above, disk, budget);
        }

        private Layers use(DurableStore below, DurableStore above, Gate disk, ByteBudget budget) {
            hidden = below;
            active = above;
            Layers made = Layers.over(disk, below, above, budget);
            user = made;
            return made;
        }

        /// The hidden buffer is nobody's before the active one is empty.
        private static DurableStore emptied(
                @Nullable DurableStore open, Gate map, Gate data, long bytes)
                throws BlockException {
            if (open != null) {
                open.empty(MapHeader.Name.NONE);
                return open;
            }
            DurableStore.create(
                    map, data, MapHeader.create(bytes, Layers.CLUSTER_BYTES, "", "", "data"));
            return DurableStore.open(map, data);
        }

        void name(MapHeader.Name name) throws BlockException {
            DurableStore named = hidden;
            if (named != null) {
                named.empty(name);
            }
        }

        /// What holds something is nobody's first, so that nothing leads to what is given back.
        /// What a failover has committed holds nothing and keeps its name: until that is settled, a
        /// restart looks for it.
        void release() throws BlockException {
            user = null;
            for (DurableStore store : new DurableStore[] {active, hidden}) {
                if (store != null) {
                    if (store.held().count() > 0) {
                        store.empty(MapHeader.Name.NONE);
                    }
                    store.data().discard(0, store.size());
                }
            }
        }
    }
}
