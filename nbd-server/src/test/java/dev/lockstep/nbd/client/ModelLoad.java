package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;

import org.awaitility.Awaitility;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/// Threads that write, zero, flush and read on stretches of their own, and know what must be there.
/// None of their requests may fail.
final class ModelLoad {
    private final long seed;
    private final int span;
    private final byte[][] models;
    private final AtomicLong requests = new AtomicLong();
    private final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();
    private final List<Future<?>> workers = new ArrayList<>();
    private volatile boolean stopped;

    ModelLoad(BlockDevice device, int threads, long seed) {
        this.seed = seed;
        this.span = (int) (device.size() / threads);
        this.models = new byte[threads][span];
        for (int thread = 0; thread < threads; thread++) {
            int number = thread;
            workers.add(
                    executor.submit(
                            () -> {
                                work(device, number);
                                return number;
                            }));
        }
    }

    private void work(BlockDevice device, int number) throws BlockException {
        Random random = new Random(seed + number);
        byte[] model = models[number];
        long start = (long) number * span;
        while (!stopped) {
            int at = random.nextInt(span - 1);
            int length = 1 + random.nextInt(Math.min(span - at, 40_000));
            switch (random.nextInt(8)) {
                case 0 -> {
                    device.zero(start + at, length, Set.of(WriteFlag.MAY_UNMAP));
                    Arrays.fill(model, at, at + length, (byte) 0);
                }
                case 1 -> device.flush();
                case 2, 3 -> compare(device, number, at, length);
                default -> {
                    byte[] bytes = new byte[length];
                    random.nextBytes(bytes);
                    device.write(start + at, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                    System.arraycopy(bytes, 0, model, at, length);
                }
            }
            requests.getAndIncrement();
        }
    }

    private void compare(BlockDevice device, int number, int at, int length) throws BlockException {
        ByteBuffer target = ByteBuffer.allocate(length);
        device.read((long) number * span + at, target);
        assertArrayEquals(
                Arrays.copyOfRange(models[number], at, at + length),
                target.array(),
                () -> "seed %d, thread %d, at %d".formatted(seed, number, at));
    }

    /// Waits until so many more requests are done; fails with the first that failed.
    void awaitRequests(int more) throws Exception {
        long goal = requests.get() + more;
        Awaitility.await()
                .atMost(60, TimeUnit.SECONDS)
                .pollInterval(5, TimeUnit.MILLISECONDS)
                .until(() -> requests.get() >= goal || workers.stream().anyMatch(Future::isDone));
        for (Future<?> worker : workers) {
            if (worker.isDone()) {
                worker.get();
            }
        }
    }

    /// Ends the load and compares every byte.
    void finish(BlockDevice device) throws Exception {
        stopped = true;
        for (Future<?> worker : workers) {
            worker.get();
        }
        executor.close();
        for (int number = 0; number < models.length; number++) {
            compare(device, number, 0, span);
        }
    }
}
