package dev.lockstep.colo.secondary;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Standing;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// A secondary with durable buffers loses power at any moment, disk, record and buffers together.
/// Started again it holds exactly the last checkpoint, and of its own guest's writes those that
/// were flushed; and so it does in the middle of a failover.
///
/// The property `lockstep.proof.seconds` says for how long.
class StackCrashTest implements SecondaryStack.Listener {
    private static final int SECTOR = RecordingDevice.SECTOR_BYTES;

    /// Three clusters and a bit.
    private static final int SIZE = 3 * Layers.CLUSTER_BYTES + 3 * SECTOR;

    private static final long NANOS =
            Integer.getInteger("lockstep.proof.seconds", 20) * 1_000_000_000L / 5;

    /// Between two syncs, at most.
    private static final int STATES_MAX = 6;

    private final Map<Long, GuestHistory> histories = new HashMap<>();
    private long states;
    private long committing;

    @Override
    public void guestWrites() {}

    @Override
    public void targetFailed(BlockException cause) {}

    @Override
    public void buffersFilling(long bufferedBytes, long limitBytes) {}

    @Test
    void after_any_power_cut_a_secondary_holds_exactly_its_last_checkpoint() throws Exception {
        Random seeds = new Random(Seeds.next("StackCrashTest"));
        long end = System.nanoTime() + NANOS;
        int count = 0;
        for (; count < 6 || System.nanoTime() < end; count++) {
            long seed = seeds.nextLong();
            try {
                prove(new Random(seed), count % 2 == 0);
            } catch (AssertionError | Exception e) {
                throw new AssertionError("seed " + seed, e);
            }
        }
        System.out.printf(
                "StackCrashTest: %d histories, %d states, %d of them in a failover%n",
                count, states, committing);
        assertTrue(states > 50L * count, "hardly any states");
        assertTrue(committing > 5L * count, "hardly any in a failover");
    }

    private void prove(Random random, boolean alone) throws Exception {
        CrashingHost host = CrashingHost.fresh(BlockDeviceContract.randomBytes(random, SIZE));
        SecondaryStack stack = stack(host, host.openBuffers());
        histories.clear();
        checkpoint(host, stack, 1);
        Gate target = stack.openTarget(true);
        for (long epoch = 1; epoch < 4; epoch++) {
            for (int step = random.nextInt(6); step >= 0; step--) {
                write(target, random, WriteFlag.NONE);
                if (!alone) {
                    guestSteps(host, stack, epoch, random, 2);
                }
            }
            if (epoch < 3) {
                checkpoint(host, stack, epoch + 1);
            }
        }
        failOver(host, stack, random);
        host.crashes().judgeEach(random, STATES_MAX, this::judge);
    }

    private SecondaryStack stack(CrashingHost host, DurableBuffers buffers) {
        return new SecondaryStack(host.disk(), buffers, Long.MAX_VALUE, this);
    }

    /// As the machine does it: what is stored names buffers that are there.
    private void checkpoint(CrashingHost host, SecondaryStack stack, long epoch)
            throws BlockException {
        stack.shutGuest();
        stack.drain(Optional.of(CrashingHost.checkpoint(epoch)));
        histories.put(epoch, new GuestHistory(host.diskContents()));
        host.store(Standing.FOLLOWING, epoch);
        stack.swapBuffers();
        stack.openGuest();
    }

    /// To the checkpoint, while the guest goes on.
    private void failOver(CrashingHost host, SecondaryStack stack, Random random) throws Exception {
        stack.fence(stack.closeTarget("failover"));
        host.store(Standing.FAILING_OVER, 3);
        stack.serve(stack.promote(true));
        // What is written now converges with buffers that are all there.
        guestSteps(host, stack, 3, random, 4);
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<?> commit =
                    threads.submit(
                            () -> {
                                stack.commit();
                                return null;
                            });
            guestSteps(host, stack, 3, random, 8);
            commit.get();
        }
        guestSteps(host, stack, 3, random, 4);
        // Their space is given back behind the guest's back, and before the record knows.
        await().until(host::hasNothingBuffered);
        guestSteps(host, stack, 3, random, 2);
        host.store(Standing.PROMOTED, 3);
        guestSteps(host, stack, 3, random, 4);
    }

    private static int write(Gate gate, Random random, Set<WriteFlag> flags) throws BlockException {
        int offset = random.nextInt(SIZE / SECTOR) * SECTOR;
        gate.write(offset, ByteBuffer.wrap(sector(random)), flags);
        return offset;
    }

    private static byte[] sector(Random random) {
        return BlockDeviceContract.randomBytes(random, SECTOR);
    }

    private void guestSteps(
            CrashingHost host, SecondaryStack stack, long epoch, Random random, int steps)
            throws BlockException {
        GuestHistory guest = history(epoch);
        for (int step = 0; step < steps; step++) {
            long began = host.tick();
            if (random.nextInt(3) == 0) {
                stack.guest().flush();
                guest.flushed(began, host.tick());
                continue;
            }
            boolean durable = random.nextInt(4) == 0;
            int offset = random.nextInt(SIZE / SECTOR) * SECTOR;
            byte[] bytes = sector(random);
            stack.guest()
                    .write(
                            offset,
                            ByteBuffer.wrap(bytes),
                            durable ? WriteFlag.DURABLE : WriteFlag.NONE);
            guest.changed(began, host.tick(), offset, bytes, durable);
        }
    }

    private GuestHistory history(long epoch) {
        return Objects.requireNonNull(histories.get(epoch));
    }

    /// Starts the host again.
    private void judge(CrashStates.State crash) throws Exception {
        CrashingHost host = CrashingHost.after(crash);
        states++;
        if (host.record().isEmpty()) {
            return;
        }
        DurableRecord record = host.record().get();
        GuestHistory expected = history(record.epoch());
        try {
            if (record.standing() == Standing.PROMOTED) {
                expected.checkCrashed(crash.instant(), host.diskContents());
                return;
            }
            committing += record.standing() == Standing.FAILING_OVER ? 1 : 0;
            DurableBuffers buffers = host.openBuffers();
            assertTrue(buffers.has(record), () -> "no buffers for " + record);
            SecondaryStack stack = stack(host, buffers);
            stack.adopt(buffers, record);
            byte[] seen = DiskModel.read(stack.guest(), 0, SIZE);
            expected.checkCrashed(crash.instant(), seen);
            stack.serve(stack.promote(true));
            stack.commit();
            assertArrayEquals(seen, host.diskContents(), "what is committed");
        } catch (AssertionError e) {
            throw new AssertionError(
                    "%s at %d, %s".formatted(record.standing(), crash.instant(), crash.choice()),
                    e);
        }
    }
}
