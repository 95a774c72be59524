package dev.lockstep.block.qed;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.filter.ResizableFilter;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.Random;
import java.util.Set;

/// A file below an image that fails now and then, or is full.
class QedFailureTest {
    private static final int ROUNDS = 30;
    private static final int STEPS = 40;

    /// Fails one request in a few, before it has any effect.
    private static final class Unreliable extends ResizableFilter {
        private final Random random;
        private boolean failing = true;

        Unreliable(BlockDevice child, Random random) {
            super(child);
            this.random = random;
        }

        private void maybeFail() throws BlockException {
            if (failing && random.nextInt(6) == 0) {
                throw new BlockException(Kind.IO, "unreliable: as it likes");
            }
        }

        @Override
        public void read(long offset, ByteBuffer target) throws BlockException {
            maybeFail();
            super.read(offset, target);
        }

        @Override
        public void write(long offset, ByteBuffer source, Set<WriteFlag> flags)
                throws BlockException {
            maybeFail();
            super.write(offset, source, flags);
        }

        @Override
        public void flush() throws BlockException {
            maybeFail();
            super.flush();
        }
    }

    /// Something that may have to be tried again.
    private interface Attempt {
        void run() throws BlockException;
    }

    private static int failures(Attempt attempt) {
        for (int failures = 0; ; failures++) {
            try {
                attempt.run();
                return failures;
            } catch (BlockException e) {
                assertEquals(Kind.IO, e.kind(), e.getMessage());
            }
        }
    }

    @Test
    void what_succeeds_at_last_is_there_and_the_image_is_sound() throws Exception {
        Random random = new Random(Seeds.next("QedFailureTest"));
        Shape shape = new Shape(4096, 2, 1 << 20, 500_224);
        int failures = 0;
        for (int round = 0; round < ROUNDS; round++) {
            RecordingDevice disk = new RecordingDevice(shape.made());
            Unreliable file = new Unreliable(disk, random);
            file.failing = false;
            QedDevice device = QedDevice.open(new Gate(file), shape.below(), false);
            file.failing = true;
            byte[] model = shape.contents();
            Gate gate = new Gate(device);
            for (int step = 0; step < STEPS; step++) {
                int offset = random.nextInt(shape.size() - 30_000);
                int length = 1 + random.nextInt(30_000);
                byte[] bytes = new byte[length];
                if (random.nextInt(4) == 0) {
                    failures += failures(() -> gate.zero(offset, length, WriteFlag.UNMAP));
                } else {
                    random.nextBytes(bytes);
                    failures +=
                            failures(
                                    () ->
                                            gate.write(
                                                    offset,
                                                    ByteBuffer.wrap(bytes),
                                                    WriteFlag.NONE));
                }
                System.arraycopy(bytes, 0, model, offset, length);
                if (random.nextInt(8) == 0) {
                    failures += failures(gate::flush);
                }
            }
            failures += failures(gate::flush);
            try {
                device.close();
            } catch (BlockException e) {
                failures++;
                assertEquals(Kind.IO, e.kind());
            }
            Gate after = new Gate(disk);
            assertEquals(0, QedChecker.check(after, Repair.NONE, _ -> {}).corruptions());
            QedDevice again = QedDevice.open(after, shape.below(), false);
            assertArrayEquals(model, DiskModel.read(again, 0, shape.size()));
            again.close();
        }
        assertTrue(failures > ROUNDS * STEPS / 4, "hardly anything failed");
    }

    /// A recorded disk has at most 12 MiB.
    @Test
    void a_full_disk_is_said_to_be_full_and_loses_nothing() throws Exception {
        Shape shape = new Shape(65536, 2, 32 << 20, 0);
        RecordingDevice disk = new RecordingDevice(shape.made());
        QedDevice device = QedDevice.open(new Gate(disk), null, false);
        Gate gate = new Gate(device);
        byte[] bytes = BlockDeviceContract.randomBytes(new Random(1), 65536);
        BlockException full =
                assertThrows(
                        BlockException.class,
                        () -> {
                            for (long at = 0; at < shape.size(); at += bytes.length) {
                                gate.write(at, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                            }
                        });
        assertEquals(Kind.NO_SPACE, full.kind());
        gate.flush();
        assertArrayEquals(bytes, DiskModel.read(gate, 8 << 20, bytes.length));
        gate.write(8 << 20, ByteBuffer.wrap(bytes), WriteFlag.NONE);
        device.close();
        assertTrue(QedChecker.check(new Gate(disk), Repair.NONE, _ -> {}).isClean());
    }
}
