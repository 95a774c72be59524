package dev.lockstep.block.qcow2.codec;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Seeds;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

class ClusterCacheTest {
    private static final int LARGE = 2 << 20;
    private static final int LARGE_MAX = ClusterCache.BYTES_MAX / LARGE;

    private final AtomicInteger loads = new AtomicInteger();

    @Test
    void readers_of_one_cluster_share_one_decompression() throws Exception {
        ClusterCache cache = new ClusterCache(4096);
        CountDownLatch loading = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<Byte>> answers = new ArrayList<>();
            for (int reader = 0; reader < 16; reader++) {
                int from = reader * 256;
                answers.add(
                        threads.submit(
                                () -> {
                                    ByteBuffer part = ByteBuffer.allocate(256);
                                    cache.read(
                                            7,
                                            from,
                                            part,
                                            cluster -> {
                                                loading.countDown();
                                                awaitQuietly(go);
                                                fill(7).load(cluster);
                                            });
                                    return part.get(0);
                                }));
            }
            loading.await();
            go.countDown();
            for (Future<Byte> answer : answers) {
                assertEquals((byte) 7, answer.get());
            }
        }
        assertEquals(1, loads.get());
    }

    @Test
    void the_least_recently_used_cluster_makes_room() throws BlockException {
        ClusterCache cache = new ClusterCache(LARGE);
        for (int key = 0; key < LARGE_MAX; key++) {
            assertEquals(key, read(cache, key));
        }
        assertEquals(0, read(cache, 0));
        assertEquals(LARGE_MAX, read(cache, LARGE_MAX));
        assertEquals(LARGE_MAX + 1, loads.get());
        assertTrue(cache.readIfPresent(0, 0, ByteBuffer.allocate(1)));
        assertFalse(cache.readIfPresent(1, 0, ByteBuffer.allocate(1)));
    }

    @Test
    void a_cluster_that_cannot_be_had_is_asked_for_again() throws BlockException {
        ClusterCache cache = new ClusterCache(LARGE);
        for (int turn = 0; turn < 2 * LARGE_MAX; turn++) {
            assertThrows(
                    BlockException.class,
                    () ->
                            cache.read(
                                    3,
                                    0,
                                    ByteBuffer.allocate(1),
                                    _ -> {
                                        throw new BlockException(Kind.CORRUPT, "damaged");
                                    }));
        }
        assertEquals(3, read(cache, 3));
    }

    @Test
    void a_forgotten_cluster_is_loaded_again() throws BlockException {
        ClusterCache cache = new ClusterCache(512);
        assertEquals(1, read(cache, 1));
        cache.forget(1);
        assertFalse(cache.readIfPresent(1, 0, ByteBuffer.allocate(1)));
        assertEquals(1, read(cache, 1));
        assertEquals(2, loads.get());
    }

    @Test
    void many_readers_with_few_slots_all_read_what_is_theirs() throws Exception {
        long seed = Seeds.next("ClusterCacheTest");
        ClusterCache cache = new ClusterCache(LARGE);
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> readers = new ArrayList<>();
            for (int reader = 0; reader < 32; reader++) {
                Random random = new Random(seed + reader);
                readers.add(
                        threads.submit(
                                () -> {
                                    for (int turn = 0; turn < 100; turn++) {
                                        int key = random.nextInt(3 * LARGE_MAX);
                                        if (random.nextInt(10) == 0) {
                                            cache.forget(key);
                                        }
                                        assertEquals(key, read(cache, key));
                                    }
                                    return null;
                                }));
            }
            for (Future<?> reader : readers) {
                reader.get();
            }
        }
    }

    private int read(ClusterCache cache, int key) throws BlockException {
        ByteBuffer part = ByteBuffer.allocate(3);
        cache.read(key, 100, part, fill(key));
        assertEquals(part.get(0), part.get(2));
        return part.get(0);
    }

    private ClusterCache.Loader fill(int value) {
        return cluster -> {
            loads.incrementAndGet();
            for (int at = 0; at < Math.min(4096, cluster.capacity()); at++) {
                cluster.put(at, (byte) value);
            }
        };
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }
}
