package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.FakeServer.Received;
import dev.lockstep.nbd.client.FakeServer.Script;
import dev.lockstep.nbd.client.FakeServer.Wire;
import dev.lockstep.nbd.conformance.Shows;
import dev.lockstep.nbd.server.NbdServer;

import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReference;

/// What a device does that is to come back after its connection was lost.
@Timeout(90)
class ReconnectTest {
    private static final Duration LONG = Duration.ofSeconds(60);
    private static final int FLAGS = NbdProtocol.FLAG_HAS_FLAGS | NbdProtocol.FLAG_SEND_FLUSH;

    @TempDir Path folder;

    @Test
    void opening_waits_for_a_server_that_starts_later() throws Exception {
        Path disk = Files.write(folder.resolve("disk"), new byte[1 << 20]);
        try (PeerServer server = PeerServer.qemuNbd(folder, disk.toString())) {
            server.kill();
            RemoteOptions once = server.options();
            BlockException refused =
                    assertThrows(BlockException.class, () -> RemoteDevice.open(once));
            assertTrue(refused.getMessage().contains("start"), refused::getMessage);
            AtomicReference<RemoteDevice> opened = new AtomicReference<>();
            Thread opener =
                    Thread.startVirtualThread(() -> opened.set(open(once.withOpenTimeout(LONG))));
            Awaitility.await().until(() -> opener.getState() == Thread.State.TIMED_WAITING);
            server.restart();
            opener.join();
            try (RemoteDevice device = opened.get()) {
                device.flush();
            }
        }
    }

    @Test
    void opening_gives_up_after_its_timeout() throws Exception {
        Path disk = Files.write(folder.resolve("disk"), new byte[1 << 20]);
        try (PeerServer server = PeerServer.qemuNbd(folder, disk.toString())) {
            server.kill();
            RemoteOptions options = server.options().withOpenTimeout(Duration.ofMillis(300));
            long start = System.nanoTime();
            assertThrows(BlockException.class, () -> RemoteDevice.open(options));
            long tookMillis = (System.nanoTime() - start) / 1_000_000;
            assertTrue(tookMillis >= 300, "after " + tookMillis + " ms");
        }
    }

    @Test
    void requests_wait_while_the_server_is_away_and_are_done_when_it_is_back() throws Exception {
        Path disk = Files.write(folder.resolve("disk"), new byte[1 << 20]);
        try (PeerServer server = PeerServer.qemuNbd(folder, disk.toString());
                RemoteDevice device =
                        RemoteDevice.open(server.options().withReconnectDelay(LONG))) {
            server.kill();
            byte[] bytes = new byte[4096];
            Arrays.fill(bytes, (byte) 7);
            Pending write = device.startWrite(512, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            AtomicReference<@Nullable BlockException> outcome = new AtomicReference<>();
            Thread waiter = Thread.startVirtualThread(() -> outcome.set(outcome(write)));
            Awaitility.await().until(() -> waiter.getState() == Thread.State.TIMED_WAITING);
            server.restart();
            waiter.join();
            assertNull(outcome.get());
            ByteBuffer target = ByteBuffer.allocate(4096);
            device.read(512, target);
            assertArrayEquals(bytes, target.array());
            assertNull(device.failure());
        }
    }

    @Test
    void requests_fail_at_once_after_the_delay_and_work_again_when_the_server_is_back()
            throws Exception {
        Path disk = Files.write(folder.resolve("disk"), new byte[1 << 20]);
        try (PeerServer server = PeerServer.qemuNbd(folder, disk.toString());
                RemoteDevice device =
                        RemoteDevice.open(
                                server.options().withReconnectDelay(Duration.ofMillis(300)))) {
            server.kill();
            long start = System.nanoTime();
            assertEquals(Kind.GONE, assertThrows(BlockException.class, device::flush).kind());
            long firstMillis = (System.nanoTime() - start) / 1_000_000;
            assertTrue(firstMillis >= 200, "after " + firstMillis + " ms");
            long again = System.nanoTime();
            for (int i = 0; i < 20; i++) {
                assertThrows(BlockException.class, device::flush);
            }
            long eachMillis = (System.nanoTime() - again) / 20_000_000;
            assertTrue(eachMillis < 100, "after " + eachMillis + " ms each");
            server.restart();
            Awaitility.await().until(() -> works(device));
        }
    }

    @Test
    void what_was_in_flight_is_sent_again_with_the_same_bytes() throws Exception {
        AtomicReference<byte[]> again = new AtomicReference<>();
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.handshake(true, FLAGS);
                                    wire.request();
                                    wire.hangUp();
                                },
                                wire -> {
                                    wire.handshake(true, FLAGS);
                                    Received request = wire.request();
                                    again.set(wire.payload);
                                    wire.simple(request.cookie(), 0);
                                });
                RemoteDevice device =
                        RemoteDevice.open(server.options().withReconnectDelay(LONG))) {
            ByteBuffer source = ByteBuffer.wrap(new byte[] {1, 2, 3, 4});
            Pending write = device.startWrite(0, source, WriteFlag.NONE);
            source.position(3);
            write.await();
            assertArrayEquals(new byte[] {1, 2, 3, 4}, again.get());
        }
    }

    @Test
    void a_write_to_a_server_that_stood_still_is_not_sent_again_but_a_read_is() throws Exception {
        ConcurrentLinkedQueue<Received> repeated = new ConcurrentLinkedQueue<>();
        Script second =
                wire -> {
                    wire.handshake(true, FLAGS);
                    while (true) {
                        Received request = wire.request();
                        repeated.add(request);
                        if (request.command() == NbdProtocol.CMD_READ) {
                            wire.data(true, request.cookie(), 0, new byte[512]);
                        } else {
                            wire.simple(request.cookie(), 0);
                        }
                    }
                };
        try (FakeServer server = new FakeServer(wire -> wire.handshake(true, FLAGS), second);
                RemoteDevice device =
                        RemoteDevice.open(
                                server.options()
                                        .withDeadlines(
                                                Duration.ofSeconds(10), Duration.ofMillis(300))
                                        .withReconnectDelay(LONG))) {
            Pending write = device.startWrite(0, ByteBuffer.allocate(512), WriteFlag.NONE);
            Pending read = device.startRead(0, ByteBuffer.allocate(512));
            assertEquals(Kind.TIMEOUT, assertThrows(BlockException.class, write::await).kind());
            read.await();
            assertEquals(
                    List.of(NbdProtocol.CMD_READ),
                    repeated.stream().map(Received::command).toList());
        }
    }

    @Test
    void an_export_of_another_size_fails_the_device_for_good() throws Exception {
        failsForGood(
                "the export has 4096 bytes instead of 1048576",
                wire -> wire.handshake(true, FLAGS, 4096));
    }

    @Test
    void an_export_that_can_do_less_fails_the_device_for_good() throws Exception {
        failsForGood(
                "can do less", wire -> wire.handshake(true, FLAGS | NbdProtocol.FLAG_READ_ONLY));
        failsForGood("can do less", wire -> wire.handshake(true, NbdProtocol.FLAG_HAS_FLAGS));
        failsForGood("only SIMPLE headers", wire -> wire.handshake(false, FLAGS));
    }

    private static void failsForGood(String words, Script second) throws Exception {
        AtomicReference<BlockException> heard = new AtomicReference<>();
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.handshake(true, FLAGS);
                                    wire.hangUp();
                                },
                                second);
                RemoteDevice device =
                        RemoteDevice.open(server.options().withReconnectDelay(LONG), heard::set)) {
            BlockException failure = assertThrows(BlockException.class, device::flush);
            assertTrue(failure.getMessage().contains(words), failure::getMessage);
            Awaitility.await().until(() -> heard.get() != null);
            assertEquals(heard.get(), device.failure());
        }
    }

    @Test
    void a_server_that_breaks_the_protocol_is_not_asked_again() throws Exception {
        ConcurrentLinkedQueue<Wire> second = new ConcurrentLinkedQueue<>();
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.handshake(true, FLAGS);
                                    wire.simple(4711, 0);
                                },
                                second::add);
                RemoteDevice device =
                        RemoteDevice.open(server.options().withReconnectDelay(LONG))) {
            BlockException failure = assertThrows(BlockException.class, device::flush);
            assertTrue(failure.getMessage().contains("not in flight"), failure::getMessage);
            assertEquals(0, second.size());
        }
    }

    @Test
    void a_server_that_dies_of_each_request_is_given_up_in_the_end() throws Exception {
        Script dies =
                wire -> {
                    wire.handshake(true, FLAGS);
                    wire.request();
                    wire.hangUp();
                };
        try (FakeServer server =
                        new FakeServer(Collections.nCopies(50, dies).toArray(Script[]::new));
                RemoteDevice device =
                        RemoteDevice.open(server.options().withReconnectDelay(LONG))) {
            assertEquals(Kind.GONE, assertThrows(BlockException.class, device::flush).kind());
        }
    }

    @Test
    @Shows("shutdown.eshutdown")
    void a_server_that_is_shutting_down_is_left_politely_and_found_again() throws Exception {
        AtomicReference<Received> last = new AtomicReference<>();
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.handshake(true, FLAGS);
                                    wire.simple(wire.request().cookie(), NbdProtocol.ESHUTDOWN);
                                    last.set(wire.request());
                                },
                                wire -> {
                                    wire.handshake(true, FLAGS);
                                    wire.simple(wire.request().cookie(), 0);
                                });
                RemoteDevice device =
                        RemoteDevice.open(server.options().withReconnectDelay(LONG))) {
            device.flush();
            Awaitility.await().until(() -> last.get() != null);
            assertEquals(NbdProtocol.CMD_DISC, last.get().command());
        }
    }

    @Test
    void one_lost_connection_of_several_leaves_the_others_at_work() throws Exception {
        int flags = FLAGS | NbdProtocol.FLAG_CAN_MULTI_CONN;
        Script answers =
                wire -> {
                    wire.handshake(true, flags);
                    while (true) {
                        wire.simple(wire.request().cookie(), 0);
                    }
                };
        Script lost =
                wire -> {
                    wire.handshake(true, flags);
                    wire.request();
                    wire.hangUp();
                };
        try (FakeServer server = new FakeServer(lost, answers);
                RemoteDevice device =
                        RemoteDevice.open(
                                server.options().withConnections(2).withReconnectDelay(LONG))) {
            for (int i = 0; i < 100; i++) {
                device.flush();
            }
        }
    }

    @Test
    void closing_or_aborting_ends_the_wait() throws Exception {
        for (boolean abort : new boolean[] {true, false}) {
            try (FakeServer server =
                    new FakeServer(
                            wire -> {
                                wire.handshake(true, FLAGS);
                                wire.hangUp();
                            })) {
                RemoteDevice device = RemoteDevice.open(server.options().withReconnectDelay(LONG));
                AtomicReference<@Nullable BlockException> outcome = new AtomicReference<>();
                Pending flush = device.startFlush();
                Thread waiter = Thread.startVirtualThread(() -> outcome.set(outcome(flush)));
                Awaitility.await().until(() -> waiter.getState() == Thread.State.TIMED_WAITING);
                if (abort) {
                    device.abort(new BlockException(Kind.GONE, "given up"));
                } else {
                    device.close();
                }
                waiter.join();
                BlockException gone = assertInstanceOf(BlockException.class, outcome.get());
                assertEquals(Kind.GONE, gone.kind());
            }
        }
    }

    @Test
    void qemu_nbd_killed_under_load_loses_nothing() throws Exception {
        Path disk = Files.write(folder.resolve("disk"), new byte[8 << 20]);
        try (PeerServer server = PeerServer.qemuNbd(folder, disk.toString())) {
            killedUnderLoad(server, 1);
        }
    }

    @Test
    void nbdkit_killed_under_load_loses_nothing() throws Exception {
        Path disk = Files.write(folder.resolve("disk"), new byte[8 << 20]);
        try (PeerServer server = PeerServer.nbdkit(folder, "file", disk.toString())) {
            killedUnderLoad(server, 4);
        }
    }

    @Test
    void nbd_server_killed_under_load_loses_nothing() throws Exception {
        Path disk = Files.write(folder.resolve("disk"), new byte[8 << 20]);
        try (PeerServer server = PeerServer.nbdServer(folder, disk, "flush = true", "fua = true")) {
            killedUnderLoad(server, 1);
        }
    }

    @Test
    void our_own_server_restarted_under_load_loses_nothing() throws Exception {
        Exports exports = Exports.of(new Export("disk", new Gate(new MemoryDevice(8 << 20))));
        Address address = new Address.Unix(folder.resolve("s"));
        AtomicReference<NbdServer> server = new AtomicReference<>(NbdServer.start(exports));
        try {
            server.get().listen(address);
            RemoteOptions options = RemoteOptions.of(new NbdUri(address, "disk"));
            restartedUnderLoad(
                    options.withConnections(4),
                    () -> {
                        server.get().close();
                        server.set(NbdServer.start(exports));
                        server.get().listen(address);
                    });
        } finally {
            server.get().close();
        }
    }

    private static void killedUnderLoad(PeerServer server, int connections) throws Exception {
        restartedUnderLoad(
                server.options().withConnections(connections),
                () -> {
                    server.kill();
                    server.restart();
                });
    }

    /// Ends the server and starts it again.
    private interface Restart {
        void run() throws Exception;
    }

    private static void restartedUnderLoad(RemoteOptions options, Restart restart)
            throws Exception {
        long seed = System.nanoTime();
        try (RemoteDevice device = RemoteDevice.open(options.withReconnectDelay(LONG))) {
            ModelLoad load = new ModelLoad(new Gate(device), 16, seed);
            for (int i = 0; i < 5; i++) {
                load.awaitRequests(100);
                restart.run();
            }
            load.finish(new Gate(device));
        }
    }

    private static RemoteDevice open(RemoteOptions options) {
        try {
            return RemoteDevice.open(options);
        } catch (BlockException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static @Nullable BlockException outcome(Pending pending) {
        try {
            pending.await();
            return null;
        } catch (BlockException e) {
            return e;
        }
    }

    private static boolean works(RemoteDevice device) {
        try {
            device.flush();
            return true;
        } catch (BlockException _) {
            return false;
        }
    }
}
