package dev.lockstep.block.overlay;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.CopyBuffers;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Located;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.file.Flusher;
import dev.lockstep.block.format.Backing;
import dev.lockstep.block.format.Layer;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/// A disk that holds some clusters itself and reads the others from its backing device. See the
/// package's description for its locks.
public final class BufferOverlay implements BlockDevice, Layer, Located {
    /// After this many extents the answer stops short.
    private static final int EXTENTS_MAX = 1024;

    private final String name;
    private final long size;
    private final int clusterBytes;
    private final int clusterBits;
    private final Backing backing;
    private final ClusterStore place;
    private final Gate store;
    private final ByteBudget budget;
    private final ClusterBitmap held;
    private final RangeLock locks;
    private final Flusher flusher;
    private final AtomicBoolean closed = new AtomicBoolean();

    private BufferOverlay(
            String name, @Nullable Gate backing, ClusterStore place, ByteBudget budget) {
        this.name = name;
        this.size = place.size();
        this.clusterBytes = place.clusterBytes();
        this.clusterBits = Integer.numberOfTrailingZeros(clusterBytes);
        this.backing = new Backing(backing);
        this.place = place;
        this.store = place.data();
        this.budget = budget;
        this.held = place.held();
        this.locks = new RangeLock(clusterBytes);
        this.flusher =
                new Flusher(
                        () -> {
                            place.sync(backing);
                            return null;
                        });
        budget.charge(heldBytes());
    }

    /// An overlay that holds nothing yet, and nothing any more once its process has ended.
    ///
    /// @param name for people: `hidden buffer of vm1`
    /// @param backing what is read where nothing is held; never written to
    /// @param store where clusters are held, as large as `backing`; what it contains does not
    ///     matter. It is part of this device, which closes it
    /// @param clusterBytes how much is held or not held at once, a power of two up to 256 KiB
    /// @param budget what held clusters are charged to
    public BufferOverlay(
            String name, Gate backing, BlockDevice store, int clusterBytes, ByteBudget budget) {
        if (Integer.bitCount(clusterBytes) != 1 || clusterBytes > CopyBuffers.BYTES) {
            throw new IllegalArgumentException("clusters of %d bytes".formatted(clusterBytes));
        }
        if (store.size() != backing.size()) {
            throw new IllegalArgumentException(
                    "%s: a store of %d bytes for a disk of %d"
                            .formatted(name, store.size(), backing.size()));
        }
        this(name, backing, new VolatileStore(store, clusterBytes), budget);
    }

    /// An overlay over what a store holds, durably.
    ///
    /// @param backing what is read where nothing is held; never written to. Where it is shorter
    ///     than the overlay, or null, zeroes are read
    /// @param budget what held clusters are charged to
    public static BufferOverlay open(
            String name, @Nullable Gate backing, DurableStore store, ByteBudget budget) {
        return new BufferOverlay(name, backing, store, budget);
    }

    @Override
    public String description() {
        return name;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public Capabilities capabilities() {
        Capabilities below = store.capabilities();
        return new Capabilities(
                place.readOnly(),
                place instanceof DurableStore ? Support.EMULATED : below.fua(),
                Support.NATIVE,
                below.discard(),
                1,
                false,
                clusterBytes,
                below.sharedFlush());
    }

    /// How much is held or not held at once.
    public int clusterBytes() {
        return clusterBytes;
    }

    /// Bytes held, in whole clusters.
    public long heldBytes() {
        return held.count() << clusterBits;
    }

    /// Whether every byte of the range is held.
    public boolean holds(long offset, long length) {
        return held.allSet(cluster(offset), clusterAfter(offset + length));
    }

    /// The first run of bytes held at or after `offset`, or null if there is none.
    public @Nullable Extent nextHeld(long offset) {
        long first = offset >= size ? held.size() : held.nextSet(cluster(offset));
        if (first == held.size()) {
            return null;
        }
        long start = Math.max(offset, first << clusterBits);
        long end = Math.min(size, held.nextClear(first) << clusterBits);
        return end > start ? Extent.of(start, end - start, Extent.Kind.DATA) : nextHeld(end);
    }

    /// Whether every byte of the range is preserved, see [#preserve].
    public boolean preserved(long offset, long length) {
        return place.kept().allSet(cluster(offset), clusterAfter(offset + length));
    }

    /// Makes sure that every cluster which the range touches is held, by copying what the backing
    /// device has; durably, if this overlay is. On return, changing the backing device in that
    /// range changes nothing here, not even for a read that began before, nor after a power cut.
    /// Those who wait for that share a sync.
    ///
    /// @throws BlockException if a cluster could not be copied, or there is no room
    public void preserve(long offset, long length) throws BlockException {
        if (preserved(offset, length)) {
            return;
        }
        long start = clusterStart(offset);
        long end = clusterEnd(offset + length);
        try (var _ = locks.exclusive(start, end - start)) {
            copyUpMissing(start, end);
        }
        if (place instanceof DurableStore) {
            flusher.flush();
            place.kept().set(cluster(start), clusterAfter(end));
        }
    }

    private void copyUpMissing(long start, long end) throws BlockException {
        long charge = charge("copy", start, end);
        try {
            for (long at = start; at < end; ) {
                long missing = endOfRun(at, end, true);
                at = Math.min(endOfRun(missing, end, false), missing + CopyBuffers.BYTES);
                if (missing < at) {
                    copyUp(missing, at);
                    charge -= place.hold(cluster(missing), clusterAfter(at)) << clusterBits;
                }
            }
        } finally {
            budget.release(charge);
        }
    }

    /// Holds no longer the clusters that lie wholly in the range: the backing device shows there.
    /// What is to show is on the backing device by now. This touches only the map in memory, which
    /// a flush makes durable; space in the store comes back with [#trim] or when it is closed.
    public void drop(long offset, long length) {
        long end = offset + length;
        long first = clusterAfter(offset);
        long after = end == size ? held.size() : cluster(end);
        if (first < after) {
            budget.release(place.drop(first, after) << clusterBits);
        }
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        if (holds(offset, target.remaining())) {
            store.read(offset, target);
            return;
        }
        int limit = target.limit();
        long end = offset + target.remaining();
        try (var _ = locks.shared(offset, target.remaining())) {
            for (long at = offset; at < end; ) {
                boolean here = held.get(cluster(at));
                long runEnd = endOfRun(at, end, here);
                target.limit(target.position() + (int) (runEnd - at));
                if (here) {
                    store.read(at, target);
                } else {
                    backing.read(at, target);
                }
                at = runEnd;
            }
        } finally {
            target.limit(limit);
        }
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        change("write", offset, source.remaining(), () -> store.write(offset, source, flags));
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        change("zero", offset, length, () -> store.zero(offset, length, flags));
    }

    /// Discards what is held. What is not stays as it is: a hole here would show the backing
    /// device, not zeroes.
    @Override
    public void discard(long offset, long length) throws BlockException {
        long end = offset + length;
        for (Extent run = nextHeld(offset); run != null && run.offset() < end; ) {
            store.discard(run.offset(), Math.min(end, run.end()) - run.offset());
            run = run.end() < end ? nextHeld(run.end()) : null;
        }
    }

    /// Makes durable what was written, and which clusters are held; of a volatile overlay nothing
    /// survives a restart whatever is flushed. Flushes that wait share a sync.
    @Override
    public void flush() throws BlockException {
        flusher.flush();
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        List<Extent> found = new ArrayList<>();
        long end = offset + length;
        try (var _ = locks.shared(offset, length)) {
            for (long at = offset; at < end && found.size() < EXTENTS_MAX; ) {
                boolean here = held.get(cluster(at));
                long runEnd = endOfRun(at, end, here);
                if (runEnd > at) {
                    found.addAll(here ? heldExtents(at, runEnd) : backing.extents(at, runEnd - at));
                    at = found.getLast().end();
                }
            }
        }
        return found;
    }

    /// What is held lies in the data file where it lies on the disk.
    @Override
    public Place locate(long offset, long length) {
        boolean here = held.get(cluster(offset));
        long run = endOfRun(offset, offset + length, here) - offset;
        return new Place(run, here ? offset : -1, "data-file");
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        int length = target.remaining();
        if (holds(offset, length)) {
            return store.readNow(offset, target);
        }
        try (RangeLock.Hold hold = locks.tryShared(offset, length)) {
            return hold != null
                    && held.noneSet(cluster(offset), clusterAfter(offset + length))
                    && backing.readNow(offset, target);
        }
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        int length = source.remaining();
        if (holds(offset, length)) {
            return store.writeNow(offset, source);
        }
        long end = offset + length;
        if (clusterStart(offset) != offset || clusterEnd(end) != end) {
            return false;
        }
        try (RangeLock.Hold hold = locks.tryExclusive(offset, length)) {
            long charge = hold == null ? 0 : missingBytes(offset, end);
            if (hold == null || !budget.reserve(charge)) {
                return false;
            }
            boolean done = false;
            try {
                done = store.writeNow(offset, source);
            } finally {
                settle(offset, end, charge, done);
            }
            return done;
        }
    }

    @Override
    public void changeBacking(@Nullable String file, @Nullable String format)
            throws BlockException {
        if (file == null) {
            throw new BlockException(
                    Kind.INVALID, name + ": an overlay has an image below it, always");
        }
        place.nameBacking(file, format == null ? "" : format);
    }

    /// Gives up everything at once, durably, and then the space that it took.
    @Override
    public void makeEmpty() throws BlockException {
        long bytes = heldBytes();
        place.empty();
        budget.release(bytes);
        trim();
    }

    /// Gives back the store's space of what is not held. No request is in flight.
    public void trim() throws BlockException {
        for (long at = 0; at < size; ) {
            long run = endOfRun(at, size, false);
            if (run > at) {
                store.discard(at, run - at);
            }
            at = endOfRun(run, size, true);
        }
    }

    /// Gives back everything at once, however much is held; a durable overlay's files keep it.
    @Override
    public void close() throws BlockException {
        if (!closed.getAndSet(true)) {
            budget.release(heldBytes());
            place.close();
        }
    }

    private List<Extent> heldExtents(long start, long end) throws BlockException {
        return store.extents(start, end - start).stream()
                .map(e -> new Extent(e.offset(), e.length(), e.kind(), 1))
                .toList();
    }

    /// What a writing request does to the store.
    private interface Change {
        void apply() throws BlockException;
    }

    private void change(String operation, long offset, long length, Change change)
            throws BlockException {
        if (holds(offset, length)) {
            change.apply();
            return;
        }
        long start = clusterStart(offset);
        long end = clusterEnd(offset + length);
        try (var _ = locks.exclusive(start, end - start)) {
            long charge = charge(operation, start, end);
            boolean done = false;
            try {
                fillEdges(start, offset, offset + length, end);
                change.apply();
                done = true;
            } finally {
                settle(start, end, charge, done);
            }
        }
    }

    /// Copies up what the first and the last cluster have beside `[from, to)`, unless they are
    /// held.
    private void fillEdges(long start, long from, long to, long end) throws BlockException {
        if (start < from && !held.get(cluster(start))) {
            copyUp(start, from);
        }
        if (to < end && !held.get(cluster(to))) {
            copyUp(to, end);
        }
    }

    private void copyUp(long start, long end) throws BlockException {
        ByteBuffer buffer = CopyBuffers.take();
        try {
            buffer.limit((int) (end - start));
            backing.read(start, buffer);
            store.write(start, buffer.flip(), WriteFlag.NONE);
        } finally {
            CopyBuffers.giveBack(buffer);
        }
    }

    /// Reserves room for the clusters of a range that are not held. The range is held exclusively.
    private long charge(String operation, long start, long end) throws BlockException {
        long charge = missingBytes(start, end);
        if (!budget.reserve(charge)) {
            throw BlockException.at(
                    Kind.NO_SPACE,
                    this,
                    operation,
                    start,
                    end - start,
                    "the buffers are full, %d of %d bytes are in use"
                            .formatted(budget.used(), budget.limit()));
        }
        return charge;
    }

    /// Ends what [#charge] began: the clusters are held now, or the room is given back.
    private void settle(long start, long end, long charge, boolean done) {
        long added = done ? place.hold(cluster(start), clusterAfter(end)) << clusterBits : 0;
        budget.release(charge - added);
    }

    private long missingBytes(long start, long end) {
        long missing = 0;
        long after = clusterAfter(end);
        for (long at = cluster(start); at < after; ) {
            long first = Math.min(after, held.nextClear(at));
            at = Math.min(after, held.nextSet(first));
            missing += at - first;
        }
        return missing << clusterBits;
    }

    /// Where the run of clusters that are held, or are not, ends that begins at `at`; at most
    /// `end`.
    private long endOfRun(long at, long end, boolean here) {
        if (at == end) {
            return end;
        }
        long cluster = cluster(at);
        long after = here ? held.nextClear(cluster) : held.nextSet(cluster);
        return after == cluster ? at : Math.min(end, after << clusterBits);
    }

    private long cluster(long offset) {
        return offset >> clusterBits;
    }

    private long clusterAfter(long end) {
        return (end + clusterBytes - 1) >> clusterBits;
    }

    private long clusterStart(long offset) {
        return cluster(offset) << clusterBits;
    }

    /// The end of the cluster before `end`, or of the device if that comes first.
    private long clusterEnd(long end) {
        return Math.min(size, clusterAfter(end) << clusterBits);
    }
}
