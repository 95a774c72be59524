package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.nbd.Address;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;

/// Many clients at once, and some that mean no good: what each gets, and what they cost. The
/// figures are printed, for BENCHMARKS.md.
class ManyConnectionsIT {
    private static final int IDLE = 1000;
    private static final int BUSY = 200;
    private static final int BLOCK = 4096;
    private static final int DISK_BYTES = 64 << 20;
    private static final long BUSY_NANOS = TimeUnit.SECONDS.toNanos(3);
    private static final long KIB = 1024;
    private static final int STALLED_READ = 1 << 20;

    /// A connection's handler, its channel and its decoder's first buffer.
    private static final long IDLE_KIB_MAX = 32;

    /// What the JVM itself may take once it has work: compiled code, its heap, thread stacks.
    private static final long WARM_UP_KIB_MAX = 256 * KIB;

    /// `Allowance`: 64 MiB for each of four connections that leave their replies unread.
    private static final long HELD_KIB_MAX = 256 * KIB;

    /// This program's own rogues take processor time from everybody, so the bound has room: on a
    /// loaded machine the worst client kept 0.25 of its rate. While an honest client had to wait
    /// for a turn of every flooder it kept 0.08.
    private static final long SLOWER_MAX = 10;

    @TempDir Path folder;
    private Address address;
    private Lockstep server;
    private final Queue<RawNbd> open = new ConcurrentLinkedQueue<>();
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();

    @BeforeEach
    void serve() throws IOException {
        Path disk = folder.resolve("disk.raw");
        byte[] bytes = new byte[DISK_BYTES];
        new Random(1).nextBytes(bytes);
        Files.write(disk, bytes);
        Path socket = folder.resolve("s");
        address = new Address.Unix(socket);
        server =
                Lockstep.start(
                        "nbd",
                        "-f",
                        "raw",
                        "-t",
                        "-e",
                        Integer.toString(IDLE + BUSY + 50),
                        "-x",
                        "disk",
                        "-k",
                        socket.toString(),
                        disk.toString());
    }

    @AfterEach
    void stop() throws IOException {
        for (RawNbd connection : open) {
            connection.close();
        }
        threads.close();
        server.close();
    }

    @Test
    void a_thousand_idle_clients_cost_little_and_200_busy_ones_get_equal_shares() throws Exception {
        List<RawNbd> busy = connect(BUSY);
        share(busy);
        long before = residentKib();
        List<RawNbd> idle = connect(IDLE);
        long idleKib = (residentKib() - before) / IDLE;
        long[] counts = share(busy);
        long after = residentKib();
        long fair = Arrays.stream(counts).sum() / BUSY;
        System.out.printf(
                "%d busy beside %d idle: %d requests a second, shares of the fair one %.2f to"
                        + " %.2f; an idle one costs %d KiB; resident %d MiB%n",
                BUSY,
                IDLE,
                fair * BUSY / TimeUnit.NANOSECONDS.toSeconds(BUSY_NANOS),
                (double) counts[0] / fair,
                (double) counts[BUSY - 1] / fair,
                idleKib,
                after / KIB);
        assertTrue(idleKib <= IDLE_KIB_MAX, () -> idleKib + " KiB for an idle connection");
        assertTrue(counts[0] * 2 >= fair, () -> counts[0] + " for one, " + fair + " is fair");
        assertTrue(counts[BUSY - 1] <= fair * 2, () -> counts[BUSY - 1] + " for one of " + fair);
        for (RawNbd connection : idle) {
            ask(connection, 0);
        }
    }

    @Test
    void who_stalls_trickles_or_floods_does_not_starve_the_others() throws Exception {
        List<RawNbd> honest = connect(20);
        share(honest);
        long alone = Arrays.stream(share(honest)).sum() / honest.size();
        List<Future<?>> rogues = new ArrayList<>();
        for (int index = 0; index < 4; index++) {
            rogues.add(threads.submit(this::stall));
            rogues.add(threads.submit(this::trickle));
            rogues.add(threads.submit(this::flood));
        }
        long[] counts = share(honest);
        long worst = counts[0];
        System.out.printf(
                "20 honest beside 12 rogues: the worst got %.2f of what it had alone%n",
                (double) worst / alone);
        assertNoneDropped(rogues);
        assertTrue(worst * SLOWER_MAX >= alone, () -> worst + " of " + alone);
    }

    @Test
    void replies_that_nobody_reads_hold_no_more_than_the_server_allows() throws Exception {
        share(connect(8));
        long before = residentKib();
        int stalled = 40;
        List<Future<?>> stalls = new ArrayList<>();
        for (int index = 0; index < stalled; index++) {
            stalls.add(threads.submit(this::stall));
        }
        share(connect(8));
        assertNoneDropped(stalls);
        long grown = residentKib() - before;
        System.out.printf("%d clients that read no replies: %d MiB more%n", stalled, grown / KIB);
        // One request beyond the total is always admitted.
        long max = HELD_KIB_MAX + stalled * (STALLED_READ / KIB) + WARM_UP_KIB_MAX;
        assertTrue(grown <= max, () -> grown + " KiB, more than " + max);
    }

    private static void assertNoneDropped(List<Future<?>> clients) {
        for (Future<?> client : clients) {
            assertNotEquals(Future.State.FAILED, client.state());
        }
    }

    private long residentKib() throws IOException {
        return Files.readAllLines(Path.of("/proc/" + server.pid() + "/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                .findFirst()
                .orElseThrow();
    }

    private List<RawNbd> connect(int count) throws IOException {
        List<RawNbd> made = new ArrayList<>();
        for (int index = 0; index < count; index++) {
            made.add(connect());
        }
        return made;
    }

    private RawNbd connect() throws IOException {
        RawNbd connection = RawNbd.connect(address, "disk");
        open.add(connection);
        return connection;
    }

    /// Every connection asks again as soon as it has its answer. Returns how often, sorted.
    private long[] share(List<RawNbd> connections) throws Exception {
        CountDownLatch start = new CountDownLatch(1);
        List<Future<Long>> counts = new ArrayList<>();
        for (RawNbd connection : connections) {
            int seed = counts.size();
            counts.add(
                    threads.submit(
                            () -> {
                                start.await();
                                return askUntil(connection, seed, System.nanoTime() + BUSY_NANOS);
                            }));
        }
        start.countDown();
        return counts.stream().mapToLong(ManyConnectionsIT::result).sorted().toArray();
    }

    private static long result(Future<Long> count) {
        try {
            return count.get(60, TimeUnit.SECONDS);
        } catch (ExecutionException | TimeoutException e) {
            throw new IllegalStateException("a client got no answer", e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static long askUntil(RawNbd connection, int seed, long deadline) throws IOException {
        Random random = new Random(seed);
        long count = 0;
        for (; System.nanoTime() < deadline; count++) {
            ask(connection, (long) random.nextInt(DISK_BYTES / BLOCK) * BLOCK);
        }
        return count;
    }

    private static void ask(RawNbd connection, long offset) throws IOException {
        connection.send(RawNbd.request(RawNbd.READ, offset, BLOCK));
        connection.awaitReply(ByteBuffer.allocate(BLOCK));
    }

    /// Asks for 200 MiB and reads none of it.
    private Void stall() throws IOException {
        RawNbd connection = connect();
        for (int index = 0; index < 200; index++) {
            connection.send(RawNbd.request(RawNbd.READ, 0, STALLED_READ));
        }
        return null;
    }

    /// Sends a write of 1 MiB byte by byte.
    private Void trickle() throws IOException {
        RawNbd connection = connect();
        connection.send(RawNbd.request(RawNbd.WRITE, 0, 1 << 20));
        ByteBuffer one = ByteBuffer.allocate(1);
        long end = System.nanoTime() + BUSY_NANOS;
        while (System.nanoTime() < end) {
            connection.send(one.clear());
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
        }
        return null;
    }

    /// Keeps 256 reads of 64 KiB in flight and throws away what it gets.
    private Void flood() throws IOException {
        RawNbd connection = connect();
        int size = 64 << 10;
        for (int index = 0; index < 256; index++) {
            connection.send(RawNbd.request(RawNbd.READ, 0, size));
        }
        ByteBuffer payload = ByteBuffer.allocateDirect(size);
        long end = System.nanoTime() + BUSY_NANOS;
        while (System.nanoTime() < end) {
            connection.awaitReply(payload.clear());
            connection.send(RawNbd.request(RawNbd.READ, 0, size));
        }
        return null;
    }
}
