package dev.lockstep.block.filter.copybeforewrite;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.overlay.BufferOverlay;
import dev.lockstep.block.overlay.ByteBudget;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;

/// Active over hidden over the disk, with the primary writing to the disk meanwhile: what the
/// secondary's guest reads is the checkpoint plus its own writes at every moment.
class SecondaryViewTest {
    private static final int SIZE = 40 * 16_384 + 1000;
    private static final int HIDDEN_CLUSTER = 16_384;
    private static final int ACTIVE_CLUSTER = 4096;
    private static final int PRIMARIES = 3;
    private static final int GUESTS = 4;

    /// Each guest and each primary writes only to stripes of its own, which share clusters.
    private static final int STRIPE = 3000;

    private final byte[] primary = BlockDeviceContract.randomBytes(new Random(1), SIZE);
    private final FaultDevice slow = new FaultDevice(new Gate(new MemoryDevice(SIZE)));
    private final Gate disk = new Gate(slow);
    private byte[] guest = primary.clone();
    private Gate target = disk;
    private Gate view = disk;

    @Test
    void the_guest_sees_the_checkpoint_and_its_own_writes_and_nothing_else() throws Exception {
        long seed = Seeds.next("SecondaryViewTest");
        disk.write(0, ByteBuffer.wrap(primary), WriteFlag.NONE);
        // Without these the reads are over before anybody could come between.
        slow.add(Fault.delay(Duration.ofNanos(20_000)).on(Operation.READ).in(0, SIZE / 2));
        slow.add(Fault.delay(Duration.ofNanos(20_000)).on(Operation.WRITE).in(SIZE / 4, SIZE / 2));
        for (int epoch = 0; epoch < 8; epoch++) {
            checkpoint();
            long epochSeed = seed + epoch * 1000L;
            BlockDeviceContract.runAll(
                    PRIMARIES + GUESTS,
                    worker -> {
                        Random random = new Random(epochSeed + worker);
                        if (worker < PRIMARIES) {
                            runPrimary(worker, random);
                        } else {
                            runGuest(worker - PRIMARIES, random);
                        }
                    });
            assertArrayEquals(guest, DiskModel.read(view, 0, SIZE));
            assertArrayEquals(primary, DiskModel.read(disk, 0, SIZE));
        }
    }

    private void checkpoint() {
        BufferOverlay hidden = overlay("hidden", disk, HIDDEN_CLUSTER);
        target = new Gate(new CopyBeforeWrite(disk, hidden, _ -> {}));
        view = new Gate(overlay("active", new Gate(hidden), ACTIVE_CLUSTER));
        guest = primary.clone();
    }

    private static BufferOverlay overlay(String name, Gate backing, int clusterBytes) {
        MemoryDevice store = new MemoryDevice(SIZE);
        return new BufferOverlay(name, backing, store, clusterBytes, ByteBudget.unlimited());
    }

    private void runPrimary(int number, Random random) throws BlockException {
        for (int step = 0; step < 150; step++) {
            int offset = ownOffset(number, PRIMARIES, random);
            int length = 1 + random.nextInt(Math.min(SIZE, endOfStripe(offset)) - offset);
            change(target, primary, random, offset, length);
        }
    }

    private void runGuest(int number, Random random) throws BlockException {
        for (int step = 0; step < 250; step++) {
            int offset = ownOffset(number, GUESTS, random);
            int length = 1 + random.nextInt(Math.min(SIZE, endOfStripe(offset)) - offset);
            // Guest 0 never writes, so that its stripes show the disk as long as possible.
            if (number > 0 && random.nextInt(4) == 0) {
                change(view, guest, random, offset, length);
            } else {
                ByteBuffer found = ByteBuffer.allocate(length);
                if (!view.readNow(offset, found)) {
                    view.read(offset, found);
                }
                byte[] expected = Arrays.copyOfRange(guest, offset, offset + length);
                assertArrayEquals(expected, found.array(), () -> "at " + offset);
            }
        }
    }

    private static void change(Gate gate, byte[] model, Random random, int offset, int length)
            throws BlockException {
        byte[] bytes = BlockDeviceContract.randomBytes(random, length);
        if (random.nextInt(4) == 0) {
            Arrays.fill(bytes, (byte) 0);
            gate.zero(offset, length, WriteFlag.UNMAP);
        } else if (!gate.writeNow(offset, ByteBuffer.wrap(bytes))) {
            gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
        }
        System.arraycopy(bytes, 0, model, offset, length);
    }

    private static int ownOffset(int number, int count, Random random) {
        int stripes = SIZE / STRIPE / count;
        return (random.nextInt(stripes) * count + number) * STRIPE + random.nextInt(STRIPE);
    }

    private static int endOfStripe(int offset) {
        return (offset / STRIPE + 1) * STRIPE;
    }
}
