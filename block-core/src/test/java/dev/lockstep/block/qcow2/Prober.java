package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// Does to a hostile image whatever a guest could do, and notes what it is told.
///
/// Every failure has to be a [BlockException] of one line; anything else is thrown on.
final class Prober {
    /// A disk of any size is looked at here, at its end, and in between.
    private static final int WINDOW_BYTES = 1 << 18;

    private static final int PIECE_BYTES = 1 << 14;

    private final List<BlockException> failures = new ArrayList<>();
    private final RecordingDevice file;
    private final @Nullable Gate backing;

    Prober(byte[] image, @Nullable Gate backing) {
        this.file = new RecordingDevice(image);
        this.backing = backing;
    }

    /// What went wrong, in order.
    List<BlockException> failures() {
        return failures;
    }

    /// What became of the image.
    byte[] image() {
        return file.contents();
    }

    /// Opens the image, reads it, changes it, and closes it.
    Prober probe(Random random) {
        attempt(
                () -> {
                    Qcow2Device device =
                            Qcow2Device.open(
                                    new Gate(file), backing, null, Qcow2Options.DEFAULTS, false);
                    try {
                        Gate gate = new Gate(device);
                        look(gate, random);
                        change(gate, random);
                        look(gate, random);
                    } finally {
                        device.close();
                    }
                });
        return this;
    }

    private void look(Gate gate, Random random) {
        read(gate, 0);
        if (gate.size() > WINDOW_BYTES) {
            read(gate, gate.size() - WINDOW_BYTES);
            read(gate, random.nextLong(gate.size() - WINDOW_BYTES));
        }
        attempt(
                () -> {
                    long at = 0;
                    for (int calls = 0; at < gate.size() && calls < 100; calls++) {
                        at = gate.extents(at, gate.size() - at).getLast().end();
                    }
                });
    }

    private void read(Gate gate, long start) {
        ByteBuffer target = ByteBuffer.allocate(PIECE_BYTES);
        long end = Math.min(gate.size(), start + WINDOW_BYTES);
        for (long at = start; at < end; at += PIECE_BYTES) {
            long offset = at;
            int length = (int) Math.min(PIECE_BYTES, end - at);
            attempt(() -> gate.read(offset, target.clear().limit(length)));
        }
    }

    private void change(Gate gate, Random random) {
        for (int step = 0; step < 12; step++) {
            long room = Math.min(gate.size(), random.nextBoolean() ? WINDOW_BYTES : 1L << 62);
            if (room == 0) {
                return;
            }
            long offset = random.nextLong(room);
            int length = (int) Math.min(1 + random.nextInt(40_000), gate.size() - offset);
            switch (random.nextInt(6)) {
                case 0, 1 ->
                        attempt(
                                () ->
                                        gate.write(
                                                offset,
                                                ByteBuffer.allocate(length).put(0, (byte) 1),
                                                WriteFlag.NONE));
                case 2 -> attempt(() -> gate.writeNow(offset, ByteBuffer.allocate(length)));
                case 3 -> attempt(() -> gate.zero(offset, length, WriteFlag.UNMAP));
                case 4 -> attempt(() -> gate.discard(offset, length));
                default -> attempt(gate::flush);
            }
        }
    }

    private interface Attempt {
        void run() throws BlockException;
    }

    private void attempt(Attempt attempt) {
        try {
            attempt.run();
        } catch (BlockException e) {
            assertEquals(1, e.getMessage().lines().count(), e::getMessage);
            assertFalse(e.getMessage().isBlank());
            failures.add(e);
        }
    }
}
