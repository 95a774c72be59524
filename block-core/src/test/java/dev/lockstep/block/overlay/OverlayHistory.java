package dev.lockstep.block.overlay;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/// What users do to an overlay and to the disk below it, told to the guest's history: what may be
/// found in the overlay after a crash.
final class OverlayHistory {
    static final List<Move> MOVES = List.of(Move.values());

    private static final int SECTOR = RecordingDevice.SECTOR_BYTES;

    /// One thing that is done, to the sector that somebody chose.
    enum Move {
        /// Somebody writes to the overlay.
        WRITE,
        /// Somebody writes to the overlay and wants that to be durable at once.
        WRITE_DURABLY,
        /// Somebody zeroes the sector's whole cluster.
        ZERO,
        /// What is there is made durable.
        FLUSH,
        /// The disk below is written to by who preserves what it overwrites.
        OVERWRITE_BELOW,
        /// A write goes to the disk below instead, and the overlay gives the cluster up for it.
        COMMIT,
        /// The overlay is made empty.
        EMPTY
    }

    private final OverlayFiles files;
    private final BufferOverlay overlay;
    private final Gate gate;
    private final Gate backing;
    private final int size;
    private final AtomicInteger serial = new AtomicInteger();
    final GuestHistory guest;

    OverlayHistory(OverlayFiles files) throws BlockException {
        this.files = files;
        overlay = files.open();
        gate = new Gate(overlay);
        backing = new Gate(files.backing());
        size = (int) gate.size();
        guest = new GuestHistory(DiskModel.read(gate, 0, size));
    }

    void play(Move move, int sector) throws BlockException {
        int offset = sector * SECTOR;
        int start = offset / OverlayFiles.CLUSTER * OverlayFiles.CLUSTER;
        int length = Math.min(OverlayFiles.CLUSTER, size - start);
        long began = files.map().tick();
        switch (move) {
            case WRITE -> {
                byte[] bytes = fresh();
                ByteBuffer source = ByteBuffer.wrap(bytes);
                if (!gate.writeNow(offset, source)) {
                    gate.write(offset, source, WriteFlag.NONE);
                }
                changed(began, offset, bytes, false);
            }
            case WRITE_DURABLY -> {
                byte[] bytes = fresh();
                gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.DURABLE);
                changed(began, offset, bytes, true);
            }
            case ZERO -> {
                gate.zero(start, length, WriteFlag.UNMAP);
                changed(began, start, new byte[length], false);
            }
            case FLUSH -> {
                gate.flush();
                guest.flushed(began, files.map().tick());
            }
            case OVERWRITE_BELOW -> {
                overlay.preserve(offset, SECTOR);
                backing.write(offset, ByteBuffer.wrap(fresh()), WriteFlag.NONE);
            }
            case COMMIT -> {
                byte[] cluster = guest.bytes(start, length);
                System.arraycopy(fresh(), 0, cluster, offset - start, SECTOR);
                backing.write(start, ByteBuffer.wrap(cluster), WriteFlag.NONE);
                overlay.drop(start, length);
                changed(began, start, cluster, false);
            }
            case EMPTY -> {
                backing.flush();
                began = files.map().tick();
                overlay.makeEmpty();
                changed(began, 0, DiskModel.read(backing, 0, size), true);
            }
        }
    }

    /// Bytes that were never there before.
    private byte[] fresh() {
        byte[] bytes = new byte[SECTOR];
        Arrays.fill(bytes, (byte) serial.incrementAndGet());
        bytes[0] = 1;
        return bytes;
    }

    private void changed(long began, int offset, byte[] bytes, boolean durable) {
        guest.changed(began, files.map().tick(), offset, bytes, durable);
    }

    /// Fails unless what is read is what was written.
    void check() throws BlockException {
        guest.check(0, DiskModel.read(gate, 0, size));
    }
}
