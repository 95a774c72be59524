package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.conformance.Shows;

import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;

/// What becomes of requests when the server is killed, stands still, or is given up.
@Timeout(60)
class LostServerTest {
    private static final Duration CONNECT = Duration.ofSeconds(10);
    private static final int IN_FLIGHT = 100;

    @TempDir Path folder;

    @Test
    void a_killed_server_fails_what_is_in_flight_and_whatever_follows_and_tells_the_owner()
            throws Exception {
        ConcurrentLinkedQueue<BlockException> heard = new ConcurrentLinkedQueue<>();
        try (PeerServer server = slowServer();
                RemoteDevice device =
                        RemoteDevice.open(server.options().withConnections(3), heard::add)) {
            List<Pending> pending = startWrites(device, 512);
            server.kill();
            for (Pending write : pending) {
                assertEquals(Kind.GONE, failure(write).kind());
            }
            assertEquals(Kind.GONE, failure(device.startFlush()).kind());
            Awaitility.await().until(() -> !heard.isEmpty());
            assertEquals(1, heard.size());
            assertSame(device.failure(), heard.peek());
        }
    }

    @Test
    void a_server_that_stands_still_is_given_up_at_the_deadline() throws Exception {
        ConcurrentLinkedQueue<BlockException> heard = new ConcurrentLinkedQueue<>();
        try (PeerServer server = PeerServer.nbdkit(folder, "memory", "64M")) {
            Duration deadline = Duration.ofMillis(400);
            try (RemoteDevice device =
                    RemoteDevice.open(
                            server.options().withDeadlines(CONNECT, deadline), heard::add)) {
                device.write(0, ByteBuffer.allocate(4096), WriteFlag.NONE);
                server.signal("STOP");
                long start = System.nanoTime();
                BlockException late = failure(device.startRead(0, ByteBuffer.allocate(512)));
                long tookMillis = (System.nanoTime() - start) / 1_000_000;
                assertEquals(Kind.TIMEOUT, late.kind(), late::getMessage);
                assertTrue(tookMillis >= 350, "after " + tookMillis + " ms");
                assertEquals(Kind.GONE, failure(device.startFlush()).kind());
                Awaitility.await().until(() -> !heard.isEmpty());
                assertEquals(1, heard.size());
            }
        }
    }

    @Test
    void writes_that_fill_the_socket_of_a_stopped_server_fail_too() throws Exception {
        try (PeerServer server = PeerServer.nbdkit(folder, "memory", "64M");
                RemoteDevice device =
                        RemoteDevice.open(
                                server.options().withDeadlines(CONNECT, Duration.ofMillis(400)))) {
            server.signal("STOP");
            List<Thread> writers = new ArrayList<>();
            ConcurrentLinkedQueue<Kind> kinds = new ConcurrentLinkedQueue<>();
            for (int i = 0; i < 32; i++) {
                ByteBuffer source = ByteBuffer.allocateDirect(1 << 20);
                writers.add(
                        Thread.startVirtualThread(
                                () ->
                                        kinds.add(
                                                failure(
                                                                device.startWrite(
                                                                        0, source, WriteFlag.NONE))
                                                        .kind())));
            }
            for (Thread writer : writers) {
                writer.join();
            }
            assertEquals(32, kinds.size());
            assertTrue(kinds.contains(Kind.TIMEOUT), kinds::toString);
        }
    }

    @Test
    void an_abort_fails_everything_at_once_with_its_cause_and_tells_nobody() throws Exception {
        ConcurrentLinkedQueue<BlockException> heard = new ConcurrentLinkedQueue<>();
        try (PeerServer server = slowServer();
                RemoteDevice device = RemoteDevice.open(server.options(), heard::add)) {
            List<Pending> pending = startWrites(device, 512);
            BlockException cause = new BlockException(Kind.GONE, "the pair has let go of it");
            long start = System.nanoTime();
            device.abort(cause);
            device.abort(new BlockException(Kind.IO, "again"));
            for (Pending write : pending) {
                assertSame(cause, failure(write).getCause());
            }
            assertTrue(System.nanoTime() - start < 2_000_000_000L);
            assertSame(cause, failure(device.startFlush()).getCause());
            assertTrue(heard.isEmpty());
        }
    }

    @Test
    void a_closed_device_says_so() throws Exception {
        try (PeerServer server = PeerServer.nbdkit(folder, "memory", "1M")) {
            RemoteDevice device = RemoteDevice.open(server.options());
            device.close();
            device.close();
            BlockException closed = failure(device.startFlush());
            assertEquals(Kind.GONE, closed.kind());
            assertTrue(String.valueOf(closed.getMessage()).contains("closed"));
        }
    }

    @Test
    @Shows("flush.client")
    void a_flush_after_the_loss_fails_even_where_the_server_has_no_flush() throws Exception {
        try (FakeServer server =
                        new FakeServer(wire -> wire.handshake(true, NbdProtocol.FLAG_HAS_FLAGS));
                RemoteDevice device = RemoteDevice.open(server.options())) {
            device.flush();
            device.abort(new BlockException(Kind.GONE, "given up"));
            assertEquals(Kind.GONE, failure(device.startFlush()).kind());
        }
    }

    private PeerServer slowServer() throws Exception {
        return PeerServer.nbdkit(folder, "--filter=delay", "memory", "64M", "wdelay=30");
    }

    /// Few enough bytes for the socket's buffer: a server that does not read them stalls the
    /// sender.
    private static List<Pending> startWrites(RemoteDevice device, int bytes) {
        List<Pending> pending = new ArrayList<>();
        for (int i = 0; i < IN_FLIGHT; i++) {
            pending.add(
                    device.startWrite(
                            (long) i * bytes, ByteBuffer.allocate(bytes), WriteFlag.NONE));
        }
        return pending;
    }

    private static BlockException failure(Pending pending) {
        return assertThrows(BlockException.class, pending::await);
    }
}
