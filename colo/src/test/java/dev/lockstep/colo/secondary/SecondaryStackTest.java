package dev.lockstep.colo.secondary;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.CrashDevice;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.overlay.BufferStore;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

class SecondaryStackTest {
    private static final long NO_LIMIT = Long.MAX_VALUE;
    @TempDir Path folder;

    @Test
    void the_guest_sees_the_checkpoint_and_its_own_writes_through_any_history() throws Exception {
        long seed = Seeds.next("stack history");
        for (int history = 0; history < 12; history++) {
            Random random = new Random(seed + history);
            MemoryDevice disk = new MemoryDevice(StackHistory.SIZE);
            StackHistory run = new StackHistory(disk, stores(history), NO_LIMIT, seed + history);
            for (int round = 0; round < 4; round++) {
                run.run(60, round);
                run.verifyGuest();
                run.verifyDisk(disk, run.primarySees);
                if (random.nextBoolean()) {
                    run.checkpoint();
                    assertEquals(0, run.stack.bufferedBytes());
                    run.verifyGuest();
                }
            }
            failOver(run, disk, random.nextInt(3) > 0);
            run.stack.close();
        }
    }

    @Test
    void a_disk_that_fails_now_and_then_delays_the_failover_and_loses_nothing() throws Exception {
        long seed = Seeds.next("stack with faults");
        for (int history = 0; history < 8; history++) {
            MemoryDevice memory = new MemoryDevice(StackHistory.SIZE);
            FaultDevice disk = new FaultDevice(new Gate(memory));
            StackHistory run =
                    new StackHistory(disk, BufferStore.inMemory(), NO_LIMIT, seed + history);
            run.run(80, 0);
            run.stack.fence(run.stack.closeTarget("failover"));
            Random random = new Random(seed + history);
            for (int i = 0; i < 6; i++) {
                disk.add(
                        Fault.error(Kind.IO)
                                .on(Operation.WRITE, Operation.ZERO)
                                .after(random.nextInt(60))
                                .times(1 + random.nextInt(5)));
            }
            failOver(run, memory, true);
        }
    }

    @Test
    void a_flush_after_a_failover_makes_everything_before_it_durable() throws Exception {
        long seed = Seeds.next("stack and a power cut");
        for (int history = 0; history < 8; history++) {
            MemoryDevice memory = new MemoryDevice(StackHistory.SIZE);
            CrashDevice disk = new CrashDevice(new Gate(memory));
            StackHistory run =
                    new StackHistory(disk, BufferStore.inMemory(), NO_LIMIT, seed + history);
            run.run(50, 0);
            run.checkpoint();
            run.run(50, 1);
            run.stack.fence(run.stack.closeTarget("failover"));
            run.stack.shutGuest();
            Gate below = run.stack.promote(true);
            try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
                Future<?> commit =
                        threads.submit(
                                () -> {
                                    run.stack.serve(below);
                                    run.stack.commit();
                                    return null;
                                });
                run.write(run.guest(0, 2), 40);
                run.stack.guest().flush();
                disk.crash(new Random(seed + history));
                run.verifyDisk(memory, run.guestSees);
                // It may have ended before the cut or fail by it.
                assertThrowsOrNot(commit);
            }
        }
    }

    @Test
    void a_failover_to_the_latest_keeps_the_primarys_writes_and_drops_the_guests()
            throws Exception {
        MemoryDevice disk = new MemoryDevice(StackHistory.SIZE);
        StackHistory run =
                new StackHistory(
                        disk, BufferStore.inMemory(), NO_LIMIT, Seeds.next("to the latest"));
        run.run(100, 0);
        run.stack.fence(run.stack.closeTarget("failover"));
        run.stack.shutGuest();
        run.stack.drain(Optional.empty());
        run.stack.serve(run.stack.promote(false));
        assertEquals(0, run.stack.bufferedBytes());
        run.verifyDisk(run.stack.guest(), run.primarySees);
    }

    @Test
    void a_fenced_session_never_writes_again() throws Exception {
        MemoryDevice disk = new MemoryDevice(StackHistory.SIZE);
        FaultDevice slow = new FaultDevice(new Gate(disk));
        StackHistory run = new StackHistory(slow, BufferStore.inMemory(), NO_LIMIT, 1);
        Gate old = run.target();
        old.write(0, ByteBuffer.allocate(512), WriteFlag.NONE);
        FaultDevice.Rule hold = slow.add(Fault.hold().on(Operation.WRITE));
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<?> stuck =
                    threads.submit(
                            () -> {
                                old.write(0, ByteBuffer.allocate(512), WriteFlag.NONE);
                                return null;
                            });
            await().until(() -> hold.hits() == 1);
            Gate closed = run.stack.closeTarget("a new session");
            assertEquals(old, closed);
            Future<?> fence =
                    threads.submit(
                            () -> {
                                run.stack.fence(closed);
                                return null;
                            });
            assertThrows(
                    BlockException.class,
                    () -> old.write(0, ByteBuffer.allocate(512), WriteFlag.NONE));
            assertFalse(old.writeNow(0, ByteBuffer.allocate(512)));
            assertFalse(fence.isDone(), "a fence waits for what is in flight");
            hold.remove();
            fence.get();
            assertEquals(0, old.inFlight());
            stuck.get();
        }
        Gate next = run.join();
        next.write(0, ByteBuffer.allocate(512), WriteFlag.NONE);
        assertThrows(
                BlockException.class, () -> old.write(0, ByteBuffer.allocate(512), WriteFlag.NONE));
    }

    @Test
    void full_buffers_refuse_the_primary_and_keep_the_checkpoint() throws Exception {
        MemoryDevice disk = new MemoryDevice(StackHistory.SIZE);
        StackHistory run =
                new StackHistory(disk, BufferStore.inMemory(), 5L * Layers.CLUSTER_BYTES, 1);
        ByteBuffer ones = ByteBuffer.wrap(new byte[Layers.CLUSTER_BYTES]);
        for (int cluster = 0; cluster < 5; cluster++) {
            run.target().write((long) cluster * Layers.CLUSTER_BYTES, ones.clear(), WriteFlag.NONE);
        }
        assertTrue(run.filling.get(), "the warning at four fifths");
        assertFalse(run.targetFailed.get());
        BlockException full =
                assertThrows(
                        BlockException.class,
                        () ->
                                run.target()
                                        .write(
                                                10L * Layers.CLUSTER_BYTES,
                                                ones.clear(),
                                                WriteFlag.NONE));
        assertEquals(Kind.NO_SPACE, full.kind());
        assertTrue(run.targetFailed.get());
        run.verifyGuest();
        run.checkpoint();
        run.target().write(10L * Layers.CLUSTER_BYTES, ones.clear(), WriteFlag.NONE);
    }

    @Test
    void a_drain_ends_when_the_guest_is_let_through_again() throws Exception {
        FaultDevice disk = new FaultDevice(new Gate(new MemoryDevice(StackHistory.SIZE)));
        StackHistory run = new StackHistory(disk, BufferStore.inMemory(), NO_LIMIT, 1);
        FaultDevice.Rule hold = disk.add(Fault.hold().on(Operation.READ));
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<?> read =
                    threads.submit(
                            () -> {
                                run.stack.guest().read(0, ByteBuffer.allocate(512));
                                return null;
                            });
            await().until(() -> hold.hits() == 1);
            run.stack.shutGuest();
            Future<BlockException> drain =
                    threads.submit(
                            () ->
                                    assertThrows(
                                            BlockException.class,
                                            () -> run.stack.drain(Optional.empty())));
            await().until(
                            () ->
                                    run.target().readNow(0, ByteBuffer.allocate(512))
                                            || !read.isDone());
            run.stack.openGuest();
            assertEquals(Kind.GONE, drain.get().kind());
            hold.remove();
            read.get();
        }
        run.checkpoint();
    }

    @Test
    void fresh_buffers_that_cannot_be_made_leave_the_old_ones_in_place() throws Exception {
        Path place = folder.resolve("buffers");
        MemoryDevice disk = new MemoryDevice(StackHistory.SIZE);
        StackHistory run =
                new StackHistory(
                        disk, BufferStore.inFolder(place), NO_LIMIT, Seeds.next("no swap"));
        run.run(30, 0);
        Files.move(place, folder.resolve("aside"));
        Files.createFile(place);
        run.stack.shutGuest();
        assertThrows(BlockException.class, () -> run.stack.drain(Optional.empty()));
        run.stack.openGuest();
        run.verifyGuest();
        run.run(30, 1);
        run.verifyGuest();
        run.stack.close();
    }

    @Test
    void in_the_steady_state_nothing_waits_on_the_way_to_the_disk() throws Exception {
        MemoryDevice disk = new MemoryDevice(StackHistory.SIZE);
        StackHistory run = new StackHistory(disk, MemoryDevice::new, NO_LIMIT, 1);
        ByteBuffer page = ByteBuffer.wrap(new byte[4096]);
        assertFalse(run.target().writeNow(0, page.clear()), "the old bytes are not saved yet");
        run.target().write(0, page.clear(), WriteFlag.NONE);
        assertTrue(run.target().writeNow(8192, page.clear()));
        assertTrue(run.target().readNow(0, page.clear()));
        Gate guest = run.stack.guest();
        assertTrue(guest.readNow(0, page.clear()), "from the hidden buffer");
        assertTrue(guest.readNow(Layers.CLUSTER_BYTES, page.clear()), "from the disk");
        guest.write(0, page.clear(), WriteFlag.NONE);
        assertTrue(guest.writeNow(8192, page.clear()));
        assertTrue(guest.readNow(0, page.clear()), "from the active buffer");
        run.stack.fence(run.stack.closeTarget("failover"));
        run.stack.serve(run.stack.promote(true));
        assertTrue(guest.writeNow(5L * Layers.CLUSTER_BYTES, page.clear()), "not buffered");
        assertFalse(guest.writeNow(0, page.clear()), "buffered");
        run.stack.commit();
        assertTrue(guest.writeNow(0, page.clear()));
        assertTrue(guest.readNow(0, page.clear()));
    }

    /// Fails over while the guest goes on, and checks that the disk alone holds what it sees.
    private static void failOver(StackHistory run, BlockDevice disk, boolean underLoad)
            throws Exception {
        run.stack.fence(run.stack.closeTarget("failover"));
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> tasks = new ArrayList<>();
            for (int i = 0; underLoad && i < 3; i++) {
                int index = i;
                tasks.add(threads.submit(() -> run.write(run.guest(index, 99), 120)));
            }
            tasks.add(
                    threads.submit(
                            () -> {
                                run.stack.serve(run.stack.promote(true));
                                commitUntilDone(run.stack);
                                return null;
                            }));
            StackHistory.await(tasks);
        }
        assertEquals(0, run.stack.bufferedBytes());
        run.verifyDisk(disk, run.guestSees);
        run.verifyGuest();
    }

    private static void commitUntilDone(SecondaryStack stack) {
        await().atMost(Duration.ofSeconds(30))
                .pollInterval(Duration.ofMillis(2))
                .until(
                        () -> {
                            try {
                                stack.commit();
                                return true;
                            } catch (BlockException e) {
                                return false;
                            }
                        });
    }

    private static void assertThrowsOrNot(Future<?> commit) throws InterruptedException {
        try {
            commit.get();
        } catch (ExecutionException e) {
            assertTrue(e.getCause() instanceof BlockException, e::toString);
        }
    }

    /// Heap buffers always answer at once, so that the fast paths are taken.
    private BufferSource stores(int history) throws BlockException {
        return switch (history % 4) {
            case 0 -> BufferSource.of(BufferStore.inFolder(folder.resolve("buffers")));
            case 1 -> BufferSource.of(BufferStore.inMemory());
            case 2 -> DurableBuffers.open(new BufferFolder(folder.resolve("durable" + history)));
            default -> BufferSource.of(MemoryDevice::new);
        };
    }
}
