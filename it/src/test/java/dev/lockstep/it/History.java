package dev.lockstep.it;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;

/// What one guest wrote, and when, so that a disk can be judged afterwards sector by sector.
///
/// Every write has a tag of its own, and fills each of its sectors with it. Writes may overlap and
/// run at the same time. A value is legal in a sector unless a write that was acknowledged, and
/// that began after the value's own write was acknowledged, must have replaced it. A write that was
/// never acknowledged may have happened or not, sector by sector.
final class History {
    static final int SECTOR = 512;

    /// The tag of a sector that was never written, and of one that was zeroed.
    static final long ZEROES = 0;

    /// The time at which an unacknowledged write is acknowledged.
    private static final long NEVER = Long.MAX_VALUE;

    private static final AtomicLong TAGS = new AtomicLong(1);

    private final Queue<Write> writes = new ConcurrentLinkedQueue<>();

    /// One write; times are of one monotonic clock.
    static final class Write {
        final long tag;
        final long offset;
        final int length;
        final long beganNanos;
        private volatile long acknowledgedNanos = NEVER;

        Write(long tag, long offset, int length, long beganNanos) {
            this.tag = tag;
            this.offset = offset;
            this.length = length;
            this.beganNanos = beganNanos;
        }

        /// The guest got a success for it.
        void acknowledged() {
            acknowledgedNanos = System.nanoTime();
        }

        /// What it writes.
        ByteBuffer payload() {
            ByteBuffer bytes = ByteBuffer.allocateDirect(length);
            for (long sector = offset / SECTOR; bytes.hasRemaining(); sector++) {
                for (int word = 0; word < SECTOR / Long.BYTES; word += 2) {
                    bytes.putLong(tag).putLong(tag == ZEROES ? 0 : sector);
                }
            }
            return bytes.flip();
        }

        private boolean covers(long sector) {
            return offset <= sector * SECTOR && (sector + 1) * SECTOR <= offset + length;
        }

        private boolean isAcknowledged() {
            return acknowledgedNanos != NEVER;
        }
    }

    /// When a checkpoint happened: at some moment within this span.
    record Cut(long earliestNanos, long latestNanos) {
        /// Everything that was acknowledged is before it.
        static final Cut AT_THE_END = new Cut(NEVER, NEVER);
    }

    /// Notes a write that is about to be sent; both ends are multiples of a sector.
    Write begin(long offset, int length) {
        return add(TAGS.getAndIncrement(), offset, length);
    }

    /// Notes a write of zeroes that is about to be sent.
    Write beginZero(long offset, int length) {
        return add(ZEROES, offset, length);
    }

    private Write add(long tag, long offset, int length) {
        Write write = new Write(tag, offset, length, System.nanoTime());
        writes.add(write);
        return write;
    }

    int size() {
        return writes.size();
    }

    /// Judges a disk that must hold what the primary's guest had written by the cut, and on top of
    /// it what the secondary's guest has written since. Returns a sentence for each wrong sector.
    static List<String> judge(ByteBuffer disk, History primary, History secondary, Cut cut) {
        List<String> findings = new ArrayList<>();
        for (long sector = 0; sector < disk.capacity() / SECTOR; sector++) {
            ByteBuffer bytes = disk.slice((int) (sector * SECTOR), SECTOR);
            long tag = bytes.getLong(0);
            if (!isWhole(bytes, tag, sector)) {
                findings.add("sector %d is a mixture that nobody wrote".formatted(sector));
                continue;
            }
            Set<Long> legal = legal(sector, primary, secondary, cut);
            if (!legal.contains(tag)) {
                findings.add("sector %d holds tag %d; legal are %s".formatted(sector, tag, legal));
            }
        }
        return findings;
    }

    private static boolean isWhole(ByteBuffer bytes, long tag, long sector) {
        long second = tag == ZEROES ? 0 : sector;
        for (int at = 0; at < SECTOR; at += 2 * Long.BYTES) {
            if (bytes.getLong(at) != tag || bytes.getLong(at + Long.BYTES) != second) {
                return false;
            }
        }
        return true;
    }

    private static Set<Long> legal(long sector, History primary, History secondary, Cut cut) {
        Set<Long> legal = new HashSet<>();
        List<Write> before = primary.covering(sector);
        before.add(new Write(ZEROES, 0, 0, Long.MIN_VALUE));
        before.getLast().acknowledgedNanos = Long.MIN_VALUE;
        List<Write> since = secondary.covering(sector);
        boolean surelyReplaced =
                since.stream()
                        .anyMatch(w -> w.isAcknowledged() && w.beganNanos > cut.latestNanos());
        for (Write write : before) {
            boolean replaced =
                    before.stream()
                            .anyMatch(
                                    later ->
                                            later.isAcknowledged()
                                                    && later.beganNanos > write.acknowledgedNanos
                                                    && later.acknowledgedNanos
                                                            < cut.earliestNanos());
            if (!surelyReplaced && !replaced && write.beganNanos < cut.latestNanos()) {
                legal.add(write.tag);
            }
        }
        for (Write write : since) {
            boolean replaced =
                    since.stream()
                            .anyMatch(
                                    later ->
                                            later.isAcknowledged()
                                                    && later.beganNanos > write.acknowledgedNanos
                                                    && later.beganNanos > cut.latestNanos());
            if (!replaced && write.acknowledgedNanos > cut.earliestNanos()) {
                legal.add(write.tag);
            }
        }
        return legal;
    }

    private List<Write> covering(long sector) {
        List<Write> covering = new ArrayList<>();
        for (Write write : writes) {
            if (write.covers(sector)) {
                covering.add(write);
            }
        }
        return covering;
    }
}
