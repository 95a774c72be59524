package dev.lockstep.block;

import static org.junit.jupiter.api.Assertions.fail;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// What a disk must hold, as the simplest thing that could be right: an array. It also knows which
/// values each byte may have after a crash: the flushed one, and any that was written since.
public final class DiskModel {
    private final byte[] now;
    private final byte[] durable;

    /// By byte, how many of `sinceFlush` a FUA write has made impossible.
    private final int[] superseded;

    private final List<Change> sinceFlush = new ArrayList<>();

    private record Change(int offset, ByteBuffer bytes) {}

    /// A disk that holds `contents`, all of it durable.
    public DiskModel(byte[] contents) {
        now = contents.clone();
        durable = contents.clone();
        superseded = new int[contents.length];
    }

    /// The bytes of a range.
    public byte[] bytes(int offset, int length) {
        return Arrays.copyOfRange(now, offset, offset + length);
    }

    /// Records a write that returned.
    public void write(int offset, byte[] bytes, boolean fua) {
        System.arraycopy(bytes, 0, now, offset, bytes.length);
        sinceFlush.add(new Change(offset, ByteBuffer.wrap(bytes.clone())));
        if (fua) {
            System.arraycopy(bytes, 0, durable, offset, bytes.length);
            Arrays.fill(superseded, offset, offset + bytes.length, sinceFlush.size());
        }
    }

    /// Records a flush that returned.
    public void flush() {
        System.arraycopy(now, 0, durable, 0, now.length);
        sinceFlush.clear();
        Arrays.fill(superseded, 0);
    }

    /// Fails unless `found` is what is there now.
    public void check(String what, int offset, byte[] found) {
        int at = Arrays.mismatch(found, 0, found.length, now, offset, offset + found.length);
        if (at >= 0) {
            fail(
                    "%s [0x%x, +%d): byte 0x%x is %d, not %d"
                            .formatted(
                                    what,
                                    offset,
                                    found.length,
                                    offset + at,
                                    found[at],
                                    now[offset + at]));
        }
    }

    /// Fails unless every byte is what was there, or zero; then it is taken for what is there.
    public void adoptDiscarded(int offset, byte[] found) {
        for (int at = 0; at < found.length; at++) {
            if (found[at] != 0 && found[at] != now[offset + at]) {
                fail(
                        "after a discard byte 0x%x is %d, neither 0 nor %d"
                                .formatted(offset + at, found[at], now[offset + at]));
            }
        }
        write(offset, new byte[found.length], false);
        System.arraycopy(found, 0, now, offset, found.length);
    }

    /// Fails unless every byte has a value that it may have after a crash; then all is durable.
    public void adoptCrashed(byte[] found) {
        for (int at = 0; at < found.length; at++) {
            if (found[at] != durable[at] && !writtenSince(at, found[at])) {
                fail(
                        "after a crash byte 0x%x is %d: neither flushed (%d) nor written since"
                                .formatted(at, found[at], durable[at]));
            }
        }
        System.arraycopy(found, 0, now, 0, found.length);
        flush();
    }

    private boolean writtenSince(int at, byte value) {
        for (int index = superseded[at]; index < sinceFlush.size(); index++) {
            Change change = sinceFlush.get(index);
            int within = at - change.offset();
            if (within >= 0
                    && within < change.bytes().limit()
                    && change.bytes().get(within) == value) {
                return true;
            }
        }
        return false;
    }

    /// Reads a range of a device into an array.
    public static byte[] read(BlockDevice device, long offset, int length) throws BlockException {
        ByteBuffer target = ByteBuffer.allocate(length);
        device.read(offset, target);
        if (target.hasRemaining()) {
            fail("a read left %d bytes of its buffer".formatted(target.remaining()));
        }
        return target.array();
    }
}
