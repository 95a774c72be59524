package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.nbd.client.FakeServer.Received;

import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;

/// Threads that await replies read them: for themselves, and for each other.
class WaitersReadTest {
    private static final int THREADS = 6;
    private static final int SHARE = 1 << 20;
    private static final int ROUNDS = 300;

    @TempDir Path folder;

    /// Platform threads take turns at reading; virtual ones among them are woken by whoever reads.
    @Test
    void everybody_on_one_connection_gets_the_reply_to_what_it_asked() throws Exception {
        long seed = System.nanoTime();
        System.out.println("WaitersReadTest: seed " + seed);
        ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
        try (PeerServer server = PeerServer.nbdkit(folder, "memory", THREADS + "M");
                RemoteDevice device = RemoteDevice.open(server.options().withWaitersRead())) {
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < THREADS; i++) {
                int number = i;
                Thread.Builder builder = i % 3 == 2 ? Thread.ofVirtual() : Thread.ofPlatform();
                Runnable work = () -> scribble(device, number, new Random(seed + number), failures);
                threads.add(builder.start(work));
            }
            for (Thread thread : threads) {
                thread.join();
            }
        }
        assertEquals(List.of(), List.copyOf(failures));
    }

    /// Writes and reads back in a part of the disk that is its own; half of the requests are long.
    private static void scribble(
            RemoteDevice device,
            int number,
            Random random,
            ConcurrentLinkedQueue<Throwable> failures) {
        try {
            for (int round = 0; round < ROUNDS; round++) {
                byte[] bytes = new byte[512 << (random.nextBoolean() ? 8 : random.nextInt(4))];
                random.nextBytes(bytes);
                long offset = (long) number * SHARE + random.nextInt(SHARE - bytes.length);
                ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
                device.write(offset, buffer, WriteFlag.NONE);
                buffer.clear().put(new byte[bytes.length]).clear();
                device.read(offset, buffer);
                byte[] back = new byte[bytes.length];
                buffer.flip().get(back);
                assertArrayEquals(bytes, back);
            }
        } catch (BlockException | RuntimeException | AssertionError e) {
            failures.add(e);
        }
    }

    /// The first waits in vain, and reads the others' replies until its time is over.
    @Test
    void who_reads_for_others_and_gets_no_answer_takes_nobodys_reply_along() throws Exception {
        CountDownLatch firstWaits = new CountDownLatch(1);
        try (FakeServer server =
                        FakeServer.afterHandshake(
                                false,
                                wire -> {
                                    wire.request();
                                    firstWaits.countDown();
                                    for (int i = 0; i < 20; i++) {
                                        Received flush = wire.request();
                                        wire.simple(flush.cookie(), 0);
                                        wire.out.flush();
                                    }
                                });
                RemoteDevice device =
                        RemoteDevice.open(
                                server.options()
                                        .withDeadlines(
                                                Duration.ofSeconds(10), Duration.ofMillis(800))
                                        .withWaitersRead())) {
            ConcurrentLinkedQueue<BlockException> late = new ConcurrentLinkedQueue<>();
            Thread first = Thread.ofPlatform().start(() -> late.add(failure(device.startFlush())));
            firstWaits.await();
            for (int i = 0; i < 20; i++) {
                device.flush();
            }
            assertNull(device.failure());
            first.join();
            assertEquals(List.of(Kind.TIMEOUT), late.stream().map(BlockException::kind).toList());
        }
    }

    /// An interrupt before the wait ends nothing and is kept, as always.
    @Test
    void a_thread_that_was_interrupted_before_reads_all_the_same() throws Exception {
        try (PeerServer server = PeerServer.nbdkit(folder, "memory", "1M");
                RemoteDevice device = RemoteDevice.open(server.options().withWaitersRead())) {
            for (int i = 0; i < 50; i++) {
                Thread.currentThread().interrupt();
                device.read(0, ByteBuffer.allocateDirect(4096));
                assertTrue(Thread.interrupted());
            }
            assertNull(device.failure());
        }
    }

    @Test
    void the_end_of_a_connection_on_which_nobody_waits_is_noticed() throws Exception {
        ConcurrentLinkedQueue<BlockException> heard = new ConcurrentLinkedQueue<>();
        try (PeerServer server = PeerServer.nbdkit(folder, "memory", "1M");
                RemoteDevice device =
                        RemoteDevice.open(server.options().withWaitersRead(), heard::add)) {
            device.read(0, ByteBuffer.allocateDirect(4096));
            device.read(0, ByteBuffer.allocateDirect(4096));
            server.kill();
            Awaitility.await().until(() -> !heard.isEmpty());
            assertThrows(BlockException.class, device::flush);
        }
    }

    /// More replies than any socket holds: unless somebody takes them, the server takes no write.
    @Test
    void replies_that_nobody_awaits_yet_do_not_keep_a_write_from_the_server() throws Exception {
        try (PeerServer server = PeerServer.nbdkit(folder, "memory", "64M");
                RemoteDevice device = RemoteDevice.open(server.options().withWaitersRead())) {
            device.flush();
            List<Pending> reads = new ArrayList<>();
            for (int i = 0; i < 32; i++) {
                reads.add(device.startRead((long) i << 20, ByteBuffer.allocateDirect(1 << 20)));
            }
            device.write(0, ByteBuffer.allocateDirect(8 << 20), WriteFlag.NONE);
            for (Pending read : reads) {
                read.await();
            }
        }
    }

    private static BlockException failure(Pending pending) {
        return assertThrows(BlockException.class, pending::await);
    }
}
