package dev.lockstep.block.crash;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Resizable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;

/// A file in memory that remembers every change and every sync, with the moments between which each
/// was in progress. Moments are ticks of one clock, which the guest's history shares.
public final class RecordingDevice implements BlockDevice, Resizable {
    /// A state is a copy of all of it, so it is kept small.
    private static final long LENGTH_MAX = 12 << 20;

    /// What a disk writes at once or not at all.
    public static final int SECTOR_BYTES = 512;

    /// Something that a power cut may undo: whole sectors as they were afterwards, or a new length.
    ///
    /// @param began when it took effect
    /// @param ended when it returned; a sync that began later covers it
    /// @param sector the first one
    /// @param values the sectors' contents; empty if this is a new length
    /// @param size the new length, or -1
    @SuppressWarnings("ArrayRecordComponent") // Changes are not compared.
    record Change(long began, long ended, int sector, byte[] values, long size) {}

    /// A sync that returned.
    record Sync(long began, long ended) {}

    /// All that happened to a file that held `initial`, in the order of its beginning.
    ///
    /// @param changes in the order in which they took effect
    /// @param syncs in the order in which they returned
    @SuppressWarnings("ArrayRecordComponent") // Recordings are not compared.
    record Recording(byte[] initial, List<Change> changes, List<Sync> syncs) {}

    private final AtomicLong clock;
    private final AtomicInteger hurried = new AtomicInteger();
    private final byte[] initial;

    /// Guards: everything below, and the order of the changes.
    private final ReentrantLock lock = new ReentrantLock();

    private final List<Change> changes = new ArrayList<>();
    private final List<Sync> syncs = new ArrayList<>();

    /// At least `size` bytes, whole sectors, zeroes after the end.
    private byte[] bytes;

    private long size;

    /// A file that holds `contents`, all of it durable.
    public RecordingDevice(byte[] contents) {
        this(contents, new AtomicLong());
    }

    private RecordingDevice(byte[] contents, AtomicLong clock) {
        this.clock = clock;
        initial = contents.clone();
        bytes = Arrays.copyOf(contents, roundedUp(contents.length));
        size = contents.length;
    }

    /// Another file that holds `contents`, with the same clock.
    public RecordingDevice beside(byte[] contents) {
        return new RecordingDevice(contents, clock);
    }

    /// The next moment.
    public long tick() {
        return clock.incrementAndGet();
    }

    /// What happened so far.
    Recording recording() {
        lock.lock();
        try {
            List<Change> ordered = new ArrayList<>(changes);
            ordered.sort(Comparator.comparingLong(Change::began));
            List<Sync> completed = new ArrayList<>(syncs);
            completed.sort(Comparator.comparingLong(Sync::ended));
            return new Recording(initial, ordered, completed);
        } finally {
            lock.unlock();
        }
    }

    /// What the file holds now.
    public byte[] contents() {
        lock.lock();
        try {
            return Arrays.copyOf(bytes, (int) size);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public String description() {
        return "recorded file";
    }

    @Override
    public long size() {
        lock.lock();
        try {
            return size;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public Capabilities capabilities() {
        return new Capabilities(
                false,
                Support.EMULATED,
                Support.NATIVE,
                Support.NATIVE,
                1,
                false,
                SECTOR_BYTES,
                true);
    }

    @Override
    public void read(long offset, ByteBuffer target) {
        lock.lock();
        try {
            target.put(bytes, (int) offset, target.remaining());
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) {
        byte[] values = new byte[source.remaining()];
        source.get(values);
        change(offset, values);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) {
        change(offset, new byte[(int) length]);
    }

    @Override
    public void discard(long offset, long length) {
        change(offset, new byte[(int) length]);
    }

    /// Takes a while, so that others get in between.
    @Override
    public void flush() {
        long began = tick();
        letOthersIn();
        letOthersIn();
        lock.lock();
        try {
            syncs.add(new Sync(began, tick()));
        } finally {
            lock.unlock();
        }
    }

    @Override
    public List<Extent> extents(long offset, long length) {
        return List.of(Extent.of(offset, length, Extent.Kind.DATA));
    }

    /// Refuses every third time, as a file does whose page is not cached.
    @Override
    public boolean readNow(long offset, ByteBuffer target) {
        if (hurried.incrementAndGet() % 3 == 0) {
            return false;
        }
        read(offset, target);
        return true;
    }

    /// Refuses every third time too.
    @Override
    public boolean writeNow(long offset, ByteBuffer source) {
        if (hurried.incrementAndGet() % 3 == 0) {
            return false;
        }
        write(offset, source, WriteFlag.NONE);
        return true;
    }

    @Override
    public long remeasure() {
        return size();
    }

    @Override
    public void resize(long length) throws BlockException {
        long cut = size() - length;
        if (cut > 0) {
            change(length, new byte[(int) cut]);
        }
        setLength(length, true);
    }

    @Override
    public void grow(long length) throws BlockException {
        setLength(length, false);
    }

    private void setLength(long length, boolean shorter) throws BlockException {
        if (length > LENGTH_MAX) {
            throw new BlockException(
                    Kind.NO_SPACE, "%s: %d bytes are too many".formatted(description(), length));
        }
        Change change;
        lock.lock();
        try {
            if (length == size || (length < size && !shorter)) {
                return;
            }
            bytes = Arrays.copyOf(bytes, Math.max(bytes.length, roundedUp((int) length)));
            size = length;
            change = new Change(tick(), 0, 0, new byte[0], length);
        } finally {
            lock.unlock();
        }
        remember(change);
    }

    @Override
    public void close() {}

    private void change(long offset, byte[] values) {
        int first = (int) (offset / SECTOR_BYTES);
        int end = roundedUp((int) offset + values.length);
        Change change;
        lock.lock();
        try {
            System.arraycopy(values, 0, bytes, (int) offset, values.length);
            byte[] sectors = Arrays.copyOfRange(bytes, first * SECTOR_BYTES, end);
            change = new Change(tick(), 0, first, sectors, -1);
        } finally {
            lock.unlock();
        }
        remember(change);
    }

    /// Lets others in between the effect of a change and its return.
    private void remember(Change change) {
        letOthersIn();
        lock.lock();
        try {
            changes.add(
                    new Change(change.began, tick(), change.sector, change.values, change.size));
        } finally {
            lock.unlock();
        }
    }

    @SuppressWarnings("ThreadPriorityCheck") // It makes the histories richer; nothing relies on it.
    private static void letOthersIn() {
        Thread.yield();
    }

    static int roundedUp(int length) {
        return Math.ceilDiv(length, SECTOR_BYTES) * SECTOR_BYTES;
    }
}
