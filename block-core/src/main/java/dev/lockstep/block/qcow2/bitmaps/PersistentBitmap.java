package dev.lockstep.block.qcow2.bitmaps;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.qcow2.layout.BitmapEntry;

import java.util.concurrent.locks.ReentrantLock;

/// A dirty bitmap of an open image.
public final class PersistentBitmap {
    private final BitmapEntry entry;
    private final boolean recording;
    private final StoredBits stored;

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
                    "the bitmap '%s' is inconsistent: who used it last did not save it"
                            .formatted(name()));
        }
        loading.lock();
        try {
            if (!loaded) {
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

    StoredBits stored() {
        return stored;
    }
}
