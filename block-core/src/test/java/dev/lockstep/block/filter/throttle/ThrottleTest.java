package dev.lockstep.block.filter.throttle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.throttle.Limits.Split;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/// The rates are measured with room for a machine that is busy with other things: it may be slower
/// than it is allowed to be, never faster.
class ThrottleTest {
    private static Limits requests(long perSecond) {
        return new Limits(total(perSecond), Split.UNLIMITED, 0);
    }

    private static Split total(long perSecond) {
        return new Split(new Rate(perSecond, 0, 1), Rate.UNLIMITED, Rate.UNLIMITED);
    }

    /// A device without limits is what is below it.
    @Nested
    class Unlimited extends BlockDeviceContract {
        @Override
        protected BlockDevice create(byte[] contents) throws Exception {
            ThrottleDevice device =
                    new ThrottleDevice(
                            new MemoryDevice(contents.length), new ThrottleGroup(Limits.NONE));
            fill(device, contents);
            return device;
        }
    }

    @Test
    void requests_take_as_long_as_the_limit_says() throws Exception {
        BlockDevice device =
                new ThrottleDevice(new MemoryDevice(1 << 20), new ThrottleGroup(requests(1000)));
        assertTrue(seconds(() -> read(device, 600, 512)) >= 0.45, "100 at once, 500 in 0.5 s");
    }

    @Test
    void bytes_take_as_long_as_the_limit_says_and_reads_do_not_wait_for_writes() throws Exception {
        Split bytes = new Split(Rate.UNLIMITED, Rate.UNLIMITED, new Rate(1 << 20, 0, 1));
        BlockDevice device =
                new ThrottleDevice(
                        new MemoryDevice(1 << 20),
                        new ThrottleGroup(new Limits(Split.UNLIMITED, bytes, 0)));
        double writing =
                seconds(
                        () -> {
                            for (int count = 0; count < 10; count++) {
                                ByteBuffer data = ByteBuffer.allocate(64 << 10);
                                device.write(0, data, WriteFlag.NONE);
                            }
                        });
        assertTrue(writing >= 0.4, "%f s for 640 KiB at 1 MiB/s".formatted(writing));
        assertTrue(device.readNow(0, ByteBuffer.allocate(4096)), "reads are not limited");
        assertFalse(device.writeNow(0, ByteBuffer.allocate(4096)));
    }

    @Test
    void a_burst_goes_at_its_own_rate_for_its_length_and_is_then_over() {
        Bucket bucket = new Bucket(new Rate(100, 1000, 2), 0);
        long now = 0;
        int[] perSecond = new int[5];
        while (now < 5_000_000_000L) {
            long wait = bucket.waitNanos(now);
            if (wait == 0) {
                bucket.add(1);
                perSecond[(int) (now / 1_000_000_000L)]++;
            }
            now += wait;
        }
        assertEquals(1100, perSecond[0], 5, "a tenth of a second at once, and the burst");
        assertEquals(1000, perSecond[1], 5);
        assertEquals(100, perSecond[3], 5);
        assertEquals(100, perSecond[4], 5);
    }

    @Test
    void a_request_of_three_times_the_size_counts_as_three() throws Exception {
        Limits limits = new Limits(total(100), Split.UNLIMITED, 4096);
        BlockDevice device =
                new ThrottleDevice(new MemoryDevice(1 << 20), new ThrottleGroup(limits));
        assertTrue(seconds(() -> read(device, 20, 3 * 4096)) >= 0.4, "60 at 100 a second");
    }

    @Test
    void the_members_of_a_group_take_turns_whatever_each_has_in_flight() throws Exception {
        ThrottleGroup group = new ThrottleGroup(requests(400));
        BlockDevice busy = new ThrottleDevice(new MemoryDevice(1 << 20), group);
        BlockDevice quiet = new ThrottleDevice(new MemoryDevice(1 << 20), group);
        AtomicInteger ofBusy = new AtomicInteger();
        List<Future<?>> running = new ArrayList<>();
        try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int thread = 0; thread < 16; thread++) {
                running.add(
                        threads.submit(
                                () -> {
                                    for (int count = 0; count < 20; count++) {
                                        read(busy, 1, 512);
                                        ofBusy.incrementAndGet();
                                    }
                                    return null;
                                }));
            }
            read(quiet, 60, 512);
            // At most the 40 that may come at once, and then one for each of the other's.
            assertTrue(ofBusy.get() <= 40 + 60 + 16, "the busy one got %d".formatted(ofBusy.get()));
            for (Future<?> one : running) {
                one.get();
            }
        }
    }

    @Test
    void new_limits_hold_for_who_waits_already() throws Exception {
        ThrottleGroup group = new ThrottleGroup(requests(1));
        BlockDevice device = new ThrottleDevice(new MemoryDevice(1 << 20), group);
        try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<?> waiting = threads.submit(() -> read(device, 1000, 512));
            group.limit(Limits.NONE);
            assertTrue(seconds(waiting::get) < 60, "a thousand a second each");
        }
    }

    @Test
    void limits_that_contradict_each_other_are_refused() {
        assertThrows(IllegalArgumentException.class, () -> new Rate(100, 50, 1));
        assertThrows(IllegalArgumentException.class, () -> new Rate(100, 0, 2));
        assertThrows(IllegalArgumentException.class, () -> new Rate(0, 100, 1));
        assertThrows(IllegalArgumentException.class, () -> new Rate(-1, 0, 1));
        Rate some = new Rate(1, 0, 1);
        assertThrows(IllegalArgumentException.class, () -> new Split(some, some, Rate.UNLIMITED));
    }

    private static Void read(BlockDevice device, int times, int length) throws BlockException {
        for (int count = 0; count < times; count++) {
            device.read(0, ByteBuffer.allocate(length));
        }
        return null;
    }

    private interface Work {
        void run() throws Exception;
    }

    private static double seconds(Work work) throws Exception {
        long start = System.nanoTime();
        work.run();
        return Duration.ofNanos(System.nanoTime() - start).toMillis() / 1000.0;
    }
}
