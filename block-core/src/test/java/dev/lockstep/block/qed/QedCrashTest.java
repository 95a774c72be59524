package dev.lockstep.block.qed;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.CrashStates.State;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;

/// Whatever a power cut leaves of the sectors written since the last sync, the image opens, holds
/// what was flushed, and has nothing worse than clusters that nobody uses.
class QedCrashTest {
    private static final Duration LIMIT =
            Duration.ofSeconds(Integer.getInteger("lockstep.proof.seconds", 4));

    private static final int STATES_MAX = 40;
    private static final int PEER_EVERY = 60;
    private static final int WRITERS = 3;
    private static final int STRIPE_BYTES = 3 * RecordingDevice.SECTOR_BYTES;

    private static final List<Shape> SHAPES =
            List.of(
                    new Shape(4096, 2, 400_896, 0),
                    new Shape(4096, 2, 400_896, 400_896),
                    new Shape(65536, 2, 700_416, 300_032),
                    // More than an L2 table's worth: 1024 clusters.
                    new Shape(4096, 2, (4 << 20) + (64 << 10), 0));

    @TempDir(factory = Folder.class)
    private Path folder;

    private long judged;

    @Test
    void no_crash_loses_what_was_flushed_or_damages_the_image() throws Exception {
        Random seeds = new Random(Seeds.next("QedCrashTest"));
        long end = System.nanoTime() + LIMIT.toNanos();
        int histories = 0;
        for (; histories < SHAPES.size() || System.nanoTime() < end; histories++) {
            long seed = seeds.nextLong();
            Shape shape = SHAPES.get(histories % SHAPES.size());
            try {
                prove(shape, seed);
            } catch (AssertionError | Exception e) {
                throw new AssertionError("seed %d: %s".formatted(seed, shape), e);
            }
        }
        System.out.printf("QedCrashTest: %d histories, %d states%n", histories, judged);
        assertTrue(judged > 30L * histories, "hardly any states");
    }

    private void prove(Shape shape, long seed) throws Exception {
        Random random = new Random(seed);
        RecordingDevice disk = new RecordingDevice(shape.made());
        GuestHistory guest = new GuestHistory(shape.contents());
        QedDevice device = QedDevice.open(new Gate(disk), shape.below(), false);
        Gate gate = new Gate(device);
        BlockDeviceContract.runAll(
                WRITERS,
                writer -> write(shape, gate, guest, disk, new Random(seed + writer), writer));
        guest.check(0, DiskModel.read(gate, 0, shape.size()));
        if (random.nextBoolean()) {
            device.close();
        }
        new CrashStates(disk).judgeEach(random, STATES_MAX, state -> judge(shape, state, guest));
    }

    /// Each writer keeps to stripes of its own, so that they share clusters but no sectors.
    private static void write(
            Shape shape,
            Gate gate,
            GuestHistory guest,
            RecordingDevice clock,
            Random random,
            int writer)
            throws BlockException {
        for (int step = 3 + random.nextInt(20); step > 0; step--) {
            int place = random.nextInt(shape.size() - STRIPE_BYTES * WRITERS);
            int from = (place / STRIPE_BYTES / WRITERS * WRITERS + writer) * STRIPE_BYTES;
            int offset = from + random.nextInt(3) * RecordingDevice.SECTOR_BYTES;
            int length = from + STRIPE_BYTES - offset;
            long began = clock.tick();
            switch (random.nextInt(5)) {
                case 0 -> {
                    gate.flush();
                    guest.flushed(began, clock.tick());
                }
                case 1 -> {
                    gate.zero(offset, length, WriteFlag.UNMAP);
                    guest.changed(began, clock.tick(), offset, new byte[length], false);
                }
                default -> {
                    byte[] bytes = BlockDeviceContract.randomBytes(random, length);
                    boolean fua = random.nextInt(5) == 0;
                    ByteBuffer source = ByteBuffer.wrap(bytes);
                    if (fua || !gate.writeNow(offset, source)) {
                        gate.write(offset, source, fua ? WriteFlag.DURABLE : WriteFlag.NONE);
                    }
                    guest.changed(began, clock.tick(), offset, bytes, fua);
                }
            }
        }
    }

    private void judge(Shape shape, State state, GuestHistory guest) throws Exception {
        Gate file = new Gate(new RecordingDevice(state.contents()));
        CheckResult found = QedChecker.check(file, Repair.NONE, _ -> {});
        assertEquals(0, found.corruptions(), state.choice());
        QedDevice device = QedDevice.open(file, shape.below(), false);
        guest.checkCrashed(state.instant(), DiskModel.read(device, 0, shape.size()));
        device.close();
        if (judged++ % PEER_EVERY == 0) {
            Path image = folder.resolve("image.qed");
            Files.write(image, state.contents());
            Files.write(folder.resolve("base.raw"), shape.backing());
            Host.run("qemu-io", "-f", "qed", "-c", "read -q 0 512", image.toString());
            Host.Outcome check = Host.outcome("qemu-img", "check", "-r", "all", image.toString());
            assertTrue(check.status() == 0 || check.status() == 3, check.output());
        }
    }
}
