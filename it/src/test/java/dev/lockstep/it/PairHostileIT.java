package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;

/// Strangers on every port of a running pair: neither the pair nor its guests may notice them.
class PairHostileIT {
    private static final int SIZE = 32 << 20;
    private static final int IDLE_CONNECTIONS = 200;
    private static final int HUGE_BYTES = 2 << 20;
    private static final long SEED = Long.getLong("lockstep.seed", System.nanoTime());

    /// What a small host may give the primary's JVM for its objects.
    private static final int HEAP_MIB = 64;

    private static final int READ_BYTES = 16 << 20;
    private static final int READS = 500;

    /// A connection may hold 64 MiB and one request more. With that comes, if nothing of it was in
    /// use before, the whole heap, where the monitor's replies are, and as much again for compiled
    /// code, classes and stacks. Without bounds it would be 8000 MiB of reads alone.
    private static final long GROWTH_MIB_MAX =
            64 + (READ_BYTES >> 20) + HEAP_MIB + /* outside the heap */ 64;

    @TempDir Path folder;
    private Pair pair;
    private Lockstep secondary;
    private Lockstep primary;

    @BeforeEach
    void start() {
        pair = new Pair(folder, SIZE);
        secondary = pair.startSecondary();
        primary =
                pair.startPrimary(
                        Map.of("LOCKSTEP_JAVA_OPTS", "-Xmx%dm".formatted(HEAP_MIB)),
                        "--sync",
                        "none");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        pair.checkpoint();
    }

    @AfterEach
    void end() {
        pair.close();
    }

    @Test
    void garbage_on_every_port_disturbs_nobody_while_the_guests_write() throws IOException {
        System.out.printf("garbage: -Dlockstep.seed=%d%n", SEED);
        Random random = new Random(SEED);
        try (Writers guest = new Writers(primary.uri(), random);
                Writers other = new Writers(secondary.uri(), random)) {
            for (byte[] said : garbage(random)) {
                for (Door door : Door.values()) {
                    try (SocketChannel stranger = connect(door)) {
                        say(stranger, said);
                    }
                }
            }
            guest.stop();
            other.stop();
            assertEquals(List.of(), guest.failures());
            assertEquals(List.of(), other.failures());
        }
        assertUndisturbed();
    }

    @Test
    void two_hundred_idle_connections_to_each_port_keep_nobody_out() throws IOException {
        List<SocketChannel> idle = new ArrayList<>();
        try {
            for (int number = 0; number < IDLE_CONNECTIONS; number++) {
                for (Door door : Door.values()) {
                    idle.add(connect(door));
                }
            }
            Guest.run(primary.uri(), "write -P 2 0 1M", "flush", "read -P 2 0 1M");
            Guest.run(secondary.uri(), "read -P 1 0 1M");
            assertUndisturbed();
        } finally {
            for (SocketChannel connection : idle) {
                connection.close();
            }
        }
    }

    @Test
    void a_client_that_never_reads_its_replies_costs_a_bounded_amount_of_memory()
            throws IOException {
        long before = residentBytes(primary);
        try (SocketChannel reader = connect(Door.PRIMARY_EXPORT);
                SocketChannel manager = connect(Door.PRIMARY_MONITOR)) {
            askForReads(reader);
            askForNodes(manager);
            Guest.run(primary.uri(), "write -P 3 1M 1M", "flush");
            long growthMib = (residentBytes(primary) - before) >> 20;
            System.out.printf("a client that never reads: grew by %d MiB%n", growthMib);
            assertTrue(growthMib < GROWTH_MIB_MAX, () -> "grew by " + growthMib + " MiB");
            assertEquals("running", pair.primaryStatus().get("state").asText());
        }
        assertTrue(primary.isAlive());
        pair.checkpoint();
    }

    /// Where a stranger comes in.
    private enum Door {
        TARGET,
        SECONDARY_EXPORT,
        SECONDARY_MONITOR,
        PRIMARY_EXPORT,
        PRIMARY_MONITOR
    }

    private SocketChannel connect(Door door) throws IOException {
        return switch (door) {
            case TARGET -> tcp(pair.targetPort());
            case SECONDARY_MONITOR -> {
                String address = pair.secondaryMonitor();
                yield tcp(Integer.parseInt(address.substring(address.lastIndexOf(':') + 1)));
            }
            case SECONDARY_EXPORT -> unix("s.sock");
            case PRIMARY_EXPORT -> unix("p.sock");
            case PRIMARY_MONITOR -> unix("p.mon");
        };
    }

    private static SocketChannel tcp(int port) throws IOException {
        return SocketChannel.open(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
    }

    private SocketChannel unix(String name) throws IOException {
        return SocketChannel.open(UnixDomainSocketAddress.of(folder.resolve(name)));
    }

    private static List<byte[]> garbage(Random random) {
        List<byte[]> all = new ArrayList<>();
        for (int count = 0; count < 8; count++) {
            byte[] noise = new byte[1 + random.nextInt(1 << 16)];
            random.nextBytes(noise);
            all.add(noise);
        }
        byte[] huge = new byte[HUGE_BYTES];
        Arrays.fill(huge, (byte) 'a');
        all.add(huge);
        Arrays.fill(huge, (byte) '[');
        all.add(huge.clone());
        for (String text :
                List.of(
                        "{\"execute\": \"qmp_capabilities\"",
                        "{\"execute\": \"quit\"}\n",
                        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                        "\0\0\0\3IHAVEOPT\0\0\0\7\377",
                        "\0\0\0\3IHAVEOPT\0\0\0\1\0\0\0\7another")) {
            all.add(text.getBytes(StandardCharsets.ISO_8859_1));
        }
        return all;
    }

    /// Says it as far as anybody listens.
    private static void say(SocketChannel stranger, byte[] what) {
        try {
            ByteBuffer bytes = ByteBuffer.wrap(what);
            while (bytes.hasRemaining()) {
                stranger.write(bytes);
            }
        } catch (IOException e) {
            // It was hung up on.
        }
    }

    /// Asks for far more bytes than anybody keeps, and reads none of them.
    private static void askForReads(SocketChannel reader) throws IOException {
        ByteBuffer hello = ByteBuffer.allocate(64);
        hello.putInt(3).putLong(0x49484156454F5054L).putInt(1).putInt(Pair.NAME.length());
        hello.put(Pair.NAME.getBytes(StandardCharsets.UTF_8));
        say(reader, Arrays.copyOf(hello.array(), hello.position()));
        reader.configureBlocking(false);
        for (int cookie = 0; cookie < READS; cookie++) {
            ByteBuffer request = ByteBuffer.allocate(28);
            request.putInt(0x25609513).putShort((short) 0).putShort((short) 0).putLong(cookie);
            request.putLong(0).putInt(READ_BYTES).flip();
            reader.write(request);
        }
    }

    private static void askForNodes(SocketChannel manager) throws IOException {
        say(manager, "{\"execute\": \"qmp_capabilities\"}\n".getBytes(StandardCharsets.UTF_8));
        manager.configureBlocking(false);
        byte[] ask =
                "{\"execute\": \"query-named-block-nodes\"}\n".getBytes(StandardCharsets.UTF_8);
        int refused = 0;
        while (refused < 1000) {
            refused = manager.write(ByteBuffer.wrap(ask)) == 0 ? refused + 1 : 0;
        }
    }

    private static long residentBytes(Lockstep side) throws IOException {
        String line =
                Files.readAllLines(Path.of("/proc/%d/status".formatted(side.pid()))).stream()
                        .filter(text -> text.startsWith("VmRSS:"))
                        .findFirst()
                        .orElseThrow();
        return Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
    }

    /// The pair is in step, and nobody had anything to tell the operator.
    private void assertUndisturbed() throws IOException {
        assertEquals("running", pair.primaryStatus().get("state").asText());
        assertEquals("running", pair.secondaryStatus().get("state").asText());
        pair.checkpoint();
        await().atMost(Duration.ofSeconds(10))
                .until(() -> Files.mismatch(pair.primaryDisk, pair.secondaryDisk) < 0);
        assertEquals("", primary.errors());
        assertEquals("", secondary.errors());
    }
}
