package dev.lockstep.colo.primary;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.colo.machine.Acknowledgement;
import dev.lockstep.nbd.MetaContext;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

class PairDeviceTest {
    private static final int SIZE = 1 << 20;
    private static final Duration SHORT = Duration.ofMillis(100);

    private final FaultyDisk near = new FaultyDisk("near", SIZE, 1);
    private final FaultyDisk far = new FaultyDisk("far", SIZE, 2);
    private final Recorder heard = new Recorder();
    private final PairDevice pair = new PairDevice(new Gate(near), heard);
    private final Gate guest = new Gate(pair);

    /// Keeps what the pair says.
    private static final class Recorder implements PairListener {
        final ConcurrentLinkedQueue<Failure> peerFailures = new ConcurrentLinkedQueue<>();
        final ConcurrentLinkedQueue<Failure> localFailures = new ConcurrentLinkedQueue<>();

        @Override
        public void peerFailed(Gate peer, Failure failure) {
            peerFailures.add(failure);
        }

        @Override
        public void localFailed(Failure failure) {
            localFailures.add(failure);
        }
    }

    /// A guest's request on a thread of its own, and how it ended.
    private static final class Request {
        private final Thread thread;
        private final AtomicReference<@Nullable Exception> failure = new AtomicReference<>();

        Request(Attempt.OnLocal request) {
            thread =
                    Thread.ofVirtual()
                            .start(
                                    () -> {
                                        try {
                                            request.run();
                                        } catch (BlockException | RuntimeException e) {
                                            failure.set(e);
                                        }
                                    });
        }

        boolean done() {
            return !thread.isAlive();
        }

        void succeeds() {
            await().until(this::done);
            assertEquals(null, failure.get());
        }

        void stillWaits() {
            await().during(SHORT).atMost(SHORT.multipliedBy(20)).until(() -> !done());
        }
    }

    private void pairUp() {
        pair.attach(new Gate(far), true);
        pair.permit(Acknowledgement.BOTH);
    }

    private static ByteBuffer bytes(int length, int value) {
        byte[] array = new byte[length];
        Arrays.fill(array, (byte) value);
        return ByteBuffer.wrap(array);
    }

    private void assertSame() {
        assertArrayEquals(near.bytes(), far.bytes());
    }

    @Test
    void concurrent_overlapping_histories_leave_both_children_equal() throws Exception {
        long seed = Long.getLong("LOCKSTEP_SEED", System.nanoTime());
        System.out.println("seed " + seed);
        pairUp();
        List<Request> guests = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            Random random = new Random(seed + i);
            guests.add(new Request(() -> scribble(random, 200)));
        }
        guests.forEach(Request::succeeds);
        assertSame();
        assertEquals(0, heard.peerFailures.size());
    }

    private void scribble(Random random, int requests) throws BlockException {
        for (int i = 0; i < requests; i++) {
            int length = 1 + random.nextInt(3000);
            // A few hot kilobytes, so that most requests overlap others.
            int offset = random.nextInt(8000);
            switch (random.nextInt(8)) {
                case 0 -> guest.zero(offset, length, WriteFlag.NONE);
                case 1 -> guest.discard(offset, length);
                case 2 -> guest.flush();
                case 3 -> guest.write(offset, bytes(length, random.nextInt()), WriteFlag.DURABLE);
                case 4 -> guest.zero(offset, length, java.util.Set.of(WriteFlag.FAST));
                default -> guest.write(offset, bytes(length, random.nextInt()), WriteFlag.NONE);
            }
        }
    }

    @Test
    void
            the_peer_failing_at_random_never_shows_in_the_guest_and_nothing_is_acknowledged_before_the_decision()
                    throws Exception {
        long seed = Long.getLong("LOCKSTEP_SEED", System.nanoTime());
        System.out.println("seed " + seed);
        for (int round = 0; round < 8; round++) {
            oneLoss(new Random(seed + round));
        }
    }

    private void oneLoss(Random random) {
        FaultyDisk local = new FaultyDisk("near", SIZE, random.nextLong());
        FaultyDisk remote = new FaultyDisk("far", SIZE, random.nextLong());
        remote.failAtWrite = 1 + random.nextInt(200);
        Recorder told = new Recorder();
        PairDevice device = new PairDevice(new Gate(local), told);
        device.attach(new Gate(remote), true);
        device.permit(Acknowledgement.BOTH);
        AtomicInteger acknowledged = new AtomicInteger();
        List<Request> writers = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            Random own = new Random(random.nextLong());
            writers.add(
                    new Request(
                            () -> {
                                for (int k = 0; k < 60; k++) {
                                    device.write(
                                            own.nextInt(9000),
                                            bytes(600, own.nextInt()),
                                            WriteFlag.NONE);
                                    acknowledged.incrementAndGet();
                                }
                            }));
        }
        await().until(() -> told.peerFailures.size() == 1);
        // Once every writer has run into the failure, nothing moves until the decision.
        int[] before = {-1};
        await().until(
                        () -> {
                            int now = acknowledged.get();
                            boolean still = now == before[0];
                            before[0] = now;
                            return still;
                        });
        assertTrue(writers.stream().noneMatch(Request::done));
        device.permit(Acknowledgement.LOCAL_ONLY);
        device.detach();
        writers.forEach(Request::succeeds);
        assertEquals(360, acknowledged.get());
        assertEquals(1, told.peerFailures.size());
        assertTrue(device.lacking().bytes() > 0);
    }

    @Test
    void a_flush_reaches_both_and_what_it_covers_is_not_lacking_any_more() throws BlockException {
        pairUp();
        guest.write(0, bytes(4096, 7), WriteFlag.NONE);
        assertEquals(Lacking.CLUSTER_BYTES, pair.lacking().bytes());
        guest.flush();
        assertEquals(1, near.flushes.get());
        assertEquals(1, far.flushes.get());
        assertEquals(0, pair.lacking().bytes());
    }

    @Test
    void the_context_of_replication_tells_what_the_peer_may_lack() throws BlockException {
        pairUp();
        MetaContext context = MetaContext.replication(pair.lacking());
        long size = pair.size();
        assertEquals(List.of(new MetaContext.Status(size, 0)), context.statuses(0, size));
        pair.write(Lacking.CLUSTER_BYTES, ByteBuffer.allocate(512), WriteFlag.NONE);
        List<MetaContext.Status> written =
                List.of(
                        new MetaContext.Status(Lacking.CLUSTER_BYTES, 0),
                        new MetaContext.Status(Lacking.CLUSTER_BYTES, 1),
                        new MetaContext.Status(size - 2 * Lacking.CLUSTER_BYTES, 0));
        assertEquals(written, context.statuses(0, size));
        ClusterBitmap before = pair.lacking().beginFlush();
        assertEquals(written, context.statuses(0, size), "while both sides flush");
        pair.lacking().endFlush(before, true);
        assertEquals(List.of(new MetaContext.Status(size, 0)), context.statuses(0, size));
        pair.detach();
        pair.attach(new Gate(new MemoryDevice("fresh", size)), false);
        assertEquals(List.of(new MetaContext.Status(size, 1)), context.statuses(0, size));
        pair.copied();
        assertEquals(List.of(new MetaContext.Status(size, 0)), context.statuses(0, size));
    }

    @Test
    void a_flush_that_only_one_side_did_leaves_what_it_covers_lacking() throws BlockException {
        pairUp();
        guest.write(0, bytes(4096, 7), WriteFlag.NONE);
        far.failure = new BlockException(Kind.IO, "no more");
        Request flush = new Request(guest::flush);
        flush.stillWaits();
        pair.permit(Acknowledgement.LOCAL_ONLY);
        flush.succeeds();
        assertEquals(Lacking.CLUSTER_BYTES, pair.lacking().bytes());
    }

    @Test
    void a_failing_local_disk_is_told_to_the_guest_and_the_place_is_made_equal_again()
            throws BlockException {
        pairUp();
        near.badByte = 5000;
        BlockException failure =
                assertThrows(
                        BlockException.class,
                        () -> guest.write(4096, bytes(4096, 9), WriteFlag.NONE));
        assertEquals(Kind.IO, failure.kind());
        assertEquals(1, heard.localFailures.size());
        assertEquals(0, heard.peerFailures.size());
        assertFalse(pair.equal());
        assertThrows(BlockException.class, pair::reconcile);
        assertFalse(pair.equal());
        near.badByte = -1;
        pair.reconcile();
        assertTrue(pair.equal());
        assertSame();
    }

    @Test
    void under_stop_writes_are_held_until_a_new_peer_is_there_and_reads_go_on()
            throws BlockException {
        pairUp();
        far.failure = new BlockException(Kind.GONE, "cut");
        Request inFlight = new Request(() -> guest.write(0, bytes(512, 1), WriteFlag.NONE));
        await().until(() -> heard.peerFailures.size() == 1);
        pair.permit(Acknowledgement.HOLD);
        pair.detach();
        Request later = new Request(() -> guest.write(512, bytes(512, 2), WriteFlag.NONE));
        later.stillWaits();
        inFlight.stillWaits();
        guest.read(0, ByteBuffer.allocate(4096));
        FaultyDisk next = new FaultyDisk("next", SIZE, 3);
        next.fill((byte) 0x55);
        pair.attach(new Gate(next), false);
        pair.permit(Acknowledgement.BOTH);
        inFlight.succeeds();
        later.succeeds();
        new InitialSync(pair).run();
        assertArrayEquals(near.bytes(), next.bytes());
    }

    @Test
    void a_held_write_fails_when_nobody_will_decide_any_more() {
        pairUp();
        pair.permit(Acknowledgement.HOLD);
        Request held = new Request(() -> guest.write(0, bytes(512, 1), WriteFlag.NONE));
        held.stillWaits();
        guest.fail(new BlockException(Kind.GONE, "the server stops"));
        await().until(held::done);
        assertTrue(held.failure.get() instanceof BlockException);
    }

    @Test
    void the_copy_under_a_writing_guest_makes_the_peer_equal_and_reports_its_progress()
            throws Exception {
        long seed = Long.getLong("LOCKSTEP_SEED", System.nanoTime());
        System.out.println("seed " + seed);
        FaultyDisk big = new FaultyDisk("near", 20 << 20, seed);
        FaultyDisk copy = new FaultyDisk("far", 20 << 20, seed + 1);
        copy.fill((byte) 0x77);
        PairDevice device = new PairDevice(new Gate(big), heard);
        Random random = new Random(seed);
        for (int i = 0; i < 50; i++) {
            device.write(random.nextInt(18 << 20), bytes(5000, random.nextInt()), WriteFlag.NONE);
        }
        device.attach(new Gate(copy), false);
        device.permit(Acknowledgement.BOTH);
        List<Request> writers = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            Random own = new Random(random.nextLong());
            writers.add(
                    new Request(
                            () -> {
                                for (int k = 0; k < 200; k++) {
                                    device.write(
                                            own.nextInt(18 << 20),
                                            bytes(3000, own.nextInt()),
                                            WriteFlag.NONE);
                                }
                            }));
        }
        InitialSync sync = new InitialSync(device);
        sync.run();
        writers.forEach(Request::succeeds);
        assertArrayEquals(big.bytes(), copy.bytes());
        assertEquals(20 << 20, sync.doneBytes());
    }

    @Test
    void a_copy_ends_with_the_first_failure_and_when_it_is_cancelled() {
        pair.attach(new Gate(far), false);
        pair.permit(Acknowledgement.BOTH);
        InitialSync cancelled = new InitialSync(pair);
        cancelled.cancel("the server stops");
        assertThrows(BlockException.class, cancelled::run);
        assertEquals(0, heard.peerFailures.size());
        far.failure = new BlockException(Kind.IO, "disk full");
        assertThrows(BlockException.class, () -> new InitialSync(pair).run());
        assertEquals(1, heard.peerFailures.size());
    }
}
