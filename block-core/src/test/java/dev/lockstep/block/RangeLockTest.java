package dev.lockstep.block;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;

class RangeLockTest {
    private final RangeLock lock = new RangeLock();

    @Test
    void overlapping_exclusive_ranges_exclude_each_other_and_others_do_not() {
        try (var _ = lock.exclusive(100, 50)) {
            assertNull(lock.tryExclusive(149, 1));
            assertNull(lock.tryShared(0, 101));
            try (var below = lock.tryExclusive(0, 100);
                    var above = lock.tryShared(150, 1)) {
                assertNotNull(below);
                assertNotNull(above);
            }
        }
        assertEquals(0, lock.entries());
    }

    @Test
    void shared_ranges_overlap() {
        try (var _ = lock.shared(0, 10);
                var second = lock.tryShared(5, 10)) {
            assertNotNull(second);
            assertNull(lock.tryExclusive(12, 1));
        }
    }

    @Test
    void a_waiting_writer_is_not_overtaken_by_readers_that_overlap_it() throws Exception {
        RangeLock.Hold reader = lock.shared(0, 10);
        AtomicBoolean written = new AtomicBoolean();
        Thread writer =
                Thread.startVirtualThread(
                        () -> {
                            try (var _ = lock.exclusive(0, 10)) {
                                written.set(true);
                            }
                        });
        await().until(() -> lock.entries() == 2);
        assertNull(lock.tryShared(3, 1), "it would overtake the writer");
        assertFalse(written.get());
        reader.close();
        assertTrue(writer.join(Duration.ofSeconds(10)));
        assertTrue(written.get());
        assertEquals(0, lock.entries());
    }

    @Test
    void a_granularity_widens_ranges() {
        RangeLock coarse = new RangeLock(4096);
        try (var _ = coarse.exclusive(5000, 1)) {
            assertNull(coarse.tryShared(4096, 1));
            assertNull(coarse.tryShared(8191, 1));
            try (var below = coarse.tryShared(4095, 1);
                    var above = coarse.tryShared(8192, 1)) {
                assertNotNull(below);
                assertNotNull(above);
            }
        }
    }

    @Test
    void closing_a_hold_twice_releases_it_once() {
        RangeLock.Hold first = lock.exclusive(0, 1);
        first.close();
        try (var _ = lock.exclusive(0, 1)) {
            first.close();
            assertNull(lock.tryShared(0, 1));
        }
    }

    @Test
    void an_interrupted_waiter_still_gets_its_range_and_stays_interrupted() throws Exception {
        RangeLock.Hold hold = lock.exclusive(0, 1);
        AtomicBoolean interrupted = new AtomicBoolean();
        Thread waiter =
                Thread.startVirtualThread(
                        () -> {
                            try (var _ = lock.exclusive(0, 1)) {
                                interrupted.set(Thread.currentThread().isInterrupted());
                            }
                        });
        await().until(() -> lock.entries() == 2);
        waiter.interrupt();
        assertFalse(waiter.join(Duration.ofMillis(50)));
        hold.close();
        assertTrue(waiter.join(Duration.ofSeconds(10)));
        assertTrue(interrupted.get());
    }

    @Test
    void no_byte_ever_has_a_writer_and_anyone_else() throws Exception {
        long seed = Seeds.next("RangeLockTest");
        int bytes = 64;
        // Each holder adds 1 (shared) or 1000 (exclusive) to the bytes it holds.
        AtomicIntegerArray holders = new AtomicIntegerArray(bytes);
        try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> done = new ArrayList<>();
            for (int thread = 0; thread < 64; thread++) {
                Random random = new Random(seed + thread);
                Callable<Void> worker = () -> hammer(random, holders);
                done.add(threads.submit(worker));
            }
            for (Future<?> each : done) {
                each.get();
            }
        }
        assertEquals(0, lock.entries());
    }

    private @Nullable Void hammer(Random random, AtomicIntegerArray holders) {
        for (int round = 0; round < 500; round++) {
            int offset = random.nextInt(holders.length());
            int length = 1 + random.nextInt(Math.min(8, holders.length() - offset));
            boolean exclusive = random.nextBoolean();
            RangeLock.Hold hold = acquire(random.nextInt(3) == 0, exclusive, offset, length);
            if (hold == null) {
                continue;
            }
            try (hold) {
                int weight = exclusive ? 1000 : 1;
                for (int at = offset; at < offset + length; at++) {
                    int now = holders.addAndGet(at, weight);
                    assertTrue(exclusive ? now == 1000 : now < 1000, "byte " + at + ": " + now);
                }
                LockSupport.parkNanos(1);
                for (int at = offset; at < offset + length; at++) {
                    holders.addAndGet(at, -weight);
                }
            }
        }
        return null;
    }

    private RangeLock.@Nullable Hold acquire(
            boolean trying, boolean exclusive, long offset, long length) {
        if (trying) {
            return exclusive ? lock.tryExclusive(offset, length) : lock.tryShared(offset, length);
        }
        return exclusive ? lock.exclusive(offset, length) : lock.shared(offset, length);
    }
}
