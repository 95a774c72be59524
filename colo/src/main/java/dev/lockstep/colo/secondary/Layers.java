package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.filter.copybeforewrite.CopyBeforeWrite;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.overlay.BufferOverlay;
import dev.lockstep.block.overlay.BufferStore;
import dev.lockstep.block.overlay.ByteBudget;
import dev.lockstep.block.overlay.DurableStore;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.nio.ByteBuffer;
import java.util.List;

/// The two buffers of one checkpoint over the disk: *hidden* holds the clusters that the primary
/// has overwritten since, *active* above it those that the guest has written.
final class Layers {
    /// What is held or not held at once: QEMU's cluster too. A smaller one would save less on a
    /// first write and cost more of them.
    static final int CLUSTER_BYTES = 64 << 10;

    private static final String HIDDEN = "hidden buffer";
    private static final String ACTIVE = "active buffer";
    private static final Logger LOG = LoggerFactory.getLogger(Layers.class);

    private final Gate disk;
    private final BufferOverlay hidden;
    private final BufferOverlay active;
    private final boolean durable;

    private Layers(Gate disk, BufferOverlay hidden, BufferOverlay active, boolean durable) {
        this.disk = disk;
        this.hidden = hidden;
        this.active = active;
        this.durable = durable;
    }

    /// Empty buffers, which are gone with their process.
    static Layers create(Gate disk, BufferStore stores, ByteBudget budget) throws BlockException {
        BufferOverlay hidden =
                new BufferOverlay(
                        HIDDEN, disk, stores.create("hidden", disk.size()), CLUSTER_BYTES, budget);
        try {
            BufferOverlay active =
                    new BufferOverlay(
                            ACTIVE,
                            new Gate(hidden),
                            stores.create("active", disk.size()),
                            CLUSTER_BYTES,
                            budget);
            return new Layers(disk, hidden, active, false);
        } catch (BlockException e) {
            release(hidden);
            throw e;
        }
    }

    /// Durable buffers, with what they hold.
    static Layers over(
            Gate disk, DurableStore hiddenStore, DurableStore activeStore, ByteBudget budget) {
        BufferOverlay hidden = BufferOverlay.open(HIDDEN, disk, hiddenStore, budget);
        BufferOverlay active = BufferOverlay.open(ACTIVE, new Gate(hidden), activeStore, budget);
        return new Layers(disk, hidden, active, true);
    }

    /// Whether what they hold outlives the process and a power cut.
    boolean isDurable() {
        return durable;
    }

    /// Makes durable, if these buffers can, what they hold and what they do not any more.
    void flush() throws BlockException {
        active.flush();
        hidden.flush();
    }

    /// What the primary writes to.
    BlockDevice target() {
        return new CopyBeforeWrite(disk, hidden, _ -> {});
    }

    /// What the guest reads and writes.
    BlockDevice guest() {
        return active;
    }

    long activeBytes() {
        return active.heldBytes();
    }

    long hiddenBytes() {
        return hidden.heldBytes();
    }

    /// Whether a buffer holds anything of a range.
    boolean holdsAny(long offset, long length) {
        return holdsAny(active, offset, length) || holdsAny(hidden, offset, length);
    }

    /// The first stretch at or after `offset` that is held by one buffer or the other, at most
    /// `limit` bytes of it; null if there is none.
    @Nullable Extent nextHeld(long offset, long limit) {
        Extent first = earlier(active.nextHeld(offset), hidden.nextHeld(offset));
        if (first == null) {
            return null;
        }
        long end = first.end();
        long stop = first.offset() + limit;
        for (boolean grown = true; grown && end < stop; ) {
            Extent next = earlier(active.nextHeld(end), hidden.nextHeld(end));
            grown = next != null && next.offset() == end;
            end = grown && next != null ? next.end() : end;
        }
        return Extent.of(first.offset(), Math.min(end, stop) - first.offset(), first.kind());
    }

    /// Reads what the guest sees.
    void readMerged(long offset, ByteBuffer target) throws BlockException {
        active.read(offset, target);
    }

    /// What the guest sees is made of.
    List<Extent> extents(long offset, long length) throws BlockException {
        return active.extents(offset, length);
    }

    /// Lets the disk show in the clusters that lie wholly in a range. From below: the hidden buffer
    /// must not show where the active one holds nothing any more, nor after a power cut. A flush at
    /// the same time writes the active map as it was before the hidden one as it was a moment
    /// later.
    void drop(long offset, long length) {
        hidden.drop(offset, length);
        active.drop(offset, length);
    }

    /// Gives everything back, but what is durable. Nothing is in flight.
    void close() {
        release(active);
        release(hidden);
    }

    private static boolean holdsAny(BufferOverlay overlay, long offset, long length) {
        Extent held = overlay.nextHeld(offset);
        return held != null && held.offset() < offset + length;
    }

    private static @Nullable Extent earlier(@Nullable Extent one, @Nullable Extent other) {
        if (one == null || other == null) {
            return one == null ? other : one;
        }
        return one.offset() <= other.offset() ? one : other;
    }

    private static void release(BlockDevice device) {
        try {
            device.close();
        } catch (BlockException e) {
            LOG.warn("a buffer was not released: {}", e.getMessage());
        }
    }
}
