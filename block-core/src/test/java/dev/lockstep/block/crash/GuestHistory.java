package dev.lockstep.block.crash;

import static dev.lockstep.block.crash.RecordingDevice.SECTOR_BYTES;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// What a guest did to a device, and with that what it may find there after a crash: in every
/// sector the value that was flushed last, or one that was written since.
///
/// No two threads change the same sector at once, so the values of each have an order.
public final class GuestHistory {
    /// A value of a sector, and whether it was durable on its own (FUA) once its write returned.
    @SuppressWarnings("ArrayRecordComponent") // Versions are not compared.
    private record Version(long began, long ended, byte[] bytes, boolean durable) {}

    private record Flush(long began, long ended) {}

    /// Guards: everything below.
    private final ReentrantLock lock = new ReentrantLock();

    private final byte[] now;
    private final List<List<Version>> sectors = new ArrayList<>();
    private final List<Flush> flushes = new ArrayList<>();

    /// A device that held `contents`, all of it durable.
    public GuestHistory(byte[] contents) {
        now = contents.clone();
        for (int at = 0; at < now.length; at += SECTOR_BYTES) {
            List<Version> versions = new ArrayList<>();
            versions.add(new Version(0, 0, sector(at / SECTOR_BYTES), true));
            sectors.add(versions);
        }
    }

    /// The bytes that are there now.
    public byte[] bytes(int offset, int length) {
        lock.lock();
        try {
            return Arrays.copyOfRange(now, offset, offset + length);
        } finally {
            lock.unlock();
        }
    }

    /// Records a write or a zero, in progress between two moments.
    ///
    /// @param fua whether it was durable when it returned
    public void changed(long began, long ended, int offset, byte[] bytes, boolean fua) {
        lock.lock();
        try {
            System.arraycopy(bytes, 0, now, offset, bytes.length);
            int last = (offset + bytes.length - 1) / SECTOR_BYTES;
            for (int sector = offset / SECTOR_BYTES; sector <= last; sector++) {
                sectors.get(sector).add(new Version(began, ended, sector(sector), fua));
            }
        } finally {
            lock.unlock();
        }
    }

    /// Records a discard of whole sectors, in which `found` was read afterwards. While it was in
    /// progress its sectors may have become zeroes, or what `below` holds.
    public void discarded(long began, long ended, int offset, byte[] found, byte[] below) {
        byte[] before = bytes(offset, found.length);
        for (int at = 0; at < found.length; at += SECTOR_BYTES) {
            byte[] sector = Arrays.copyOfRange(found, at, at + SECTOR_BYTES);
            if (!Arrays.equals(sector, new byte[SECTOR_BYTES])
                    && !Arrays.equals(sector, 0, SECTOR_BYTES, before, at, at + SECTOR_BYTES)
                    && !Arrays.equals(sector, 0, SECTOR_BYTES, below, at, at + SECTOR_BYTES)) {
                fail("a discard left at 0x%x: %s".formatted(offset + at, text(sector)));
            }
        }
        changed(began, ended, offset, new byte[found.length], false);
        changed(began, ended, offset, below, false);
        changed(began, ended, offset, found, false);
    }

    /// Records a flush that returned.
    public void flushed(long began, long ended) {
        lock.lock();
        try {
            flushes.add(new Flush(began, ended));
        } finally {
            lock.unlock();
        }
    }

    /// Fails unless every sector of `found` is what it is now.
    public void check(int offset, byte[] found) {
        byte[] expected = bytes(offset, found.length);
        int at = Arrays.mismatch(found, expected);
        if (at >= 0) {
            fail("byte 0x%x is %d, not %d".formatted(offset + at, found[at], expected[at]));
        }
    }

    /// Fails unless every sector of `found` is what a crash at this moment may leave.
    public void checkCrashed(long instant, byte[] found) {
        long covered = 0;
        for (Flush flush : flushes) {
            covered = flush.ended <= instant ? Math.max(covered, flush.began) : covered;
        }
        for (int sector = 0; sector < sectors.size(); sector++) {
            int at = sector * SECTOR_BYTES;
            byte[] value = Arrays.copyOfRange(found, at, Math.min(at + SECTOR_BYTES, found.length));
            if (!possible(sectors.get(sector), covered, instant, value)) {
                fail(
                        "after a crash the sector at 0x%x is %s\nbut it may only be one of%s"
                                .formatted(at, text(value), candidates(sector, covered, instant)));
            }
        }
    }

    private static boolean possible(
            List<Version> versions, long covered, long instant, byte[] value) {
        for (int index = versions.size() - 1; index >= 0; index--) {
            Version version = versions.get(index);
            if (version.began <= instant && Arrays.equals(version.bytes, value)) {
                return true;
            }
            if (version.ended < covered || (version.durable && version.ended <= instant)) {
                return false;
            }
        }
        return false;
    }

    private String candidates(int sector, long covered, long instant) {
        StringBuilder text = new StringBuilder();
        for (Version version : sectors.get(sector)) {
            text.append(
                    "\n%s, %d to %d%s"
                            .formatted(
                                    text(version.bytes),
                                    version.began,
                                    version.ended,
                                    version.ended < covered
                                            ? " (flushed)"
                                            : version.began > instant ? " (later)" : ""));
        }
        return text.toString();
    }

    private byte[] sector(int sector) {
        int at = sector * SECTOR_BYTES;
        return Arrays.copyOfRange(now, at, Math.min(at + SECTOR_BYTES, now.length));
    }

    private static String text(byte[] sector) {
        HexFormat hex = HexFormat.of();
        return "%s..%s #%08x"
                .formatted(
                        hex.formatHex(sector, 0, Math.min(8, sector.length)),
                        hex.formatHex(sector, Math.max(0, sector.length - 8), sector.length),
                        Arrays.hashCode(sector));
    }
}
