package dev.lockstep.block.qcow2.bitmaps;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.qcow2.layout.BitmapEntry;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.locks.ReentrantLock;

/// A dirty bitmap of an open image. One that is edited gives way to another.
public final class PersistentBitmap {
    private final BitmapEntry entry;
    private final boolean recording;

    /// The bits that are stored, in addition to which some may be marked; null if all are in
    /// memory, to be stored anew.
    private final @Nullable StoredBits stored;

    /// Guards: `loaded`, and reading the stored bits once.
    private final ReentrantLock loading = new ReentrantLock();

    private final ClusterBitmap bits;
    private boolean loaded;

    /// @param writable whether the disk may be written to, so that the bitmap has to record that
    PersistentBitmap(BitmapEntry entry, boolean writable, StoredBits stored) {
        this.entry = entry;
        this.recording = writable && entry.auto() && isConsistent();
        this.stored = stored;
        this.bits = new ClusterBitmap(isConsistent() ? stored.count() : 0);
    }

    private PersistentBitmap(BitmapEntry entry, @Nullable StoredBits stored, ClusterBitmap bits) {
        this.entry = entry;
        this.recording = entry.auto();
        this.stored = stored;
        this.bits = bits;
        loaded = true;
    }

    /// One whose bits have to be stored anew.
    ///
    /// @param entry of which the place of its table is of no importance
    static PersistentBitmap edited(BitmapEntry entry, ClusterBitmap bits) {
        return new PersistentBitmap(entry, null, bits);
    }

    /// This one, whose bits are stored by now.
    PersistentBitmap storedAs(StoredBits place) {
        return new PersistentBitmap(place.entry(), place, bits);
    }

    /// Its name, which no other bitmap of the image has.
    public String name() {
        return entry.name();
    }

    /// How many bytes of the disk a bit stands for, a power of two from 512 to 2 GiB.
    public long granularity() {
        return 1L << entry.granularityBits();
    }

    /// Whether it records what is written to the disk, now or by the next who writes.
    public boolean isEnabled() {
        return entry.auto();
    }

    /// Whether its bits can be believed: whoever had it in use last has saved it.
    public boolean isConsistent() {
        return !entry.inUse() && (entry.extraDataCompatible() || !entry.extraData().hasRemaining());
    }

    /// Its bits, what was written since the image was opened included; they change as the disk
    /// does. Reads them from the image the first time.
    ///
    /// @throws BlockException if they cannot be read or believed
    public ClusterBitmap bits() throws BlockException {
        if (!isConsistent()) {
            throw new BlockException(
                    Kind.INVALID,
                    ("the bitmap '%s' is inconsistent, since who used it last did not save it: it"
                                    + " can only be removed")
                            .formatted(name()));
        }
        loading.lock();
        try {
            if (!loaded && stored != null) {
                stored.addTo(bits);
                loaded = true;
            }
            return bits;
        } finally {
            loading.unlock();
        }
    }

    /// As it is to be in the directory while the disk is in use, or after. What records and cannot
    /// be believed is wrong from the first write on, and says so for good.
    BitmapEntry entry(boolean inUse) {
        return entry.auto() ? entry.withFlags(inUse || !recording, true) : entry;
    }

    /// As it was in the directory when it was read, or is to be.
    BitmapEntry entry() {
        return entry;
    }

    boolean isRecording() {
        return recording;
    }

    void mark(long offset, long length) {
        int shift = entry.granularityBits();
        bits.set(offset >> shift, ((offset + length - 1) >> shift) + 1);
    }

    /// What was marked, and what is stored if somebody asked for it.
    ClusterBitmap marked() {
        return bits;
    }

    /// The stored bits, null if there are none that count any more.
    @Nullable StoredBits stored() {
        return stored;
    }
}
