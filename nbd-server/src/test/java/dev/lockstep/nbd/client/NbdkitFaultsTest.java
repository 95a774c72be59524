package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Pending;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// Our client on a server whose disk is broken or slow, as nbdkit's filters make it.
class NbdkitFaultsTest {
    private static final int BLOCK = 4096;

    @TempDir Path folder;

    private PeerServer nbdkit(String... arguments) throws Exception {
        return PeerServer.nbdkit(folder, arguments);
    }

    private static ByteBuffer block() {
        return ByteBuffer.allocateDirect(BLOCK);
    }

    private static Kind kindOfWrite(RemoteDevice device) {
        return assertThrows(BlockException.class, () -> device.write(0, block(), Set.of())).kind();
    }

    @Test
    void an_error_concerns_its_request_alone_and_keeps_its_kind() throws Exception {
        for (var error : List.of(List.of("EIO", Kind.IO), List.of("ENOSPC", Kind.NO_SPACE))) {
            try (PeerServer server =
                            nbdkit(
                                    "--filter=error",
                                    "memory",
                                    "1M",
                                    "error=" + error.getFirst(),
                                    "error-pwrite-rate=100%");
                    RemoteDevice device = RemoteDevice.open(server.options())) {
                for (int round = 0; round < 3; round++) {
                    assertEquals(error.getLast(), kindOfWrite(device));
                    device.read(0, block());
                    device.flush();
                }
            }
        }
    }

    @Test
    void an_error_that_passes_passes() throws Exception {
        Path trigger = folder.resolve("trigger");
        try (PeerServer server =
                        nbdkit(
                                "--filter=error",
                                "memory",
                                "1M",
                                "error-rate=100%",
                                "error-file=" + trigger);
                RemoteDevice device = RemoteDevice.open(server.options())) {
            device.write(0, block(), Set.of());
            Files.createFile(trigger);
            assertEquals(Kind.IO, kindOfWrite(device));
            assertEquals(
                    Kind.IO,
                    assertThrows(BlockException.class, () -> device.read(0, block())).kind());
            Files.delete(trigger);
            device.write(0, block(), Set.of());
        }
    }

    @Test
    void slow_replies_are_waited_for_together() throws Exception {
        try (PeerServer server = nbdkit("--filter=delay", "memory", "1M", "rdelay=3");
                RemoteDevice device = RemoteDevice.open(server.options())) {
            long begun = System.nanoTime();
            List<Pending> reads = new ArrayList<>();
            for (int index = 0; index < 8; index++) {
                reads.add(device.startRead((long) index * BLOCK, block()));
            }
            device.write(0, block(), Set.of());
            assertTrue(System.nanoTime() - begun < 3_000_000_000L, "a write waits for no read");
            for (Pending read : reads) {
                read.await();
            }
            Duration took = Duration.ofNanos(System.nanoTime() - begun);
            assertTrue(took.toSeconds() < 12, () -> "8 reads of 3 s each took " + took);
        }
    }

    @Test
    void a_reply_that_comes_too_late_is_a_timeout() throws Exception {
        try (PeerServer server = nbdkit("--filter=delay", "memory", "1M", "rdelay=20");
                RemoteDevice device =
                        RemoteDevice.open(
                                server.options()
                                        .withDeadlines(
                                                Duration.ofSeconds(10), Duration.ofSeconds(1)))) {
            BlockException late = assertThrows(BlockException.class, () -> device.read(0, block()));
            assertEquals(Kind.TIMEOUT, late.kind());
        }
    }

    @Test
    void a_server_that_is_killed_while_it_is_slow_answers_after_its_return() throws Exception {
        Path disk = Files.write(folder.resolve("d.raw"), new byte[1 << 20]);
        try (PeerServer server = nbdkit("--filter=delay", "file", disk.toString(), "rdelay=2");
                RemoteDevice device =
                        RemoteDevice.open(
                                server.options().withReconnectDelay(Duration.ofSeconds(60)))) {
            ByteBuffer ones = block();
            while (ones.hasRemaining()) {
                ones.put((byte) 1);
            }
            device.write(0, ones.flip(), Set.of());
            device.flush();
            ByteBuffer back = block();
            Pending read = device.startRead(0, back);
            server.kill();
            server.restart();
            read.await();
            assertEquals(1, back.get(BLOCK - 1));
        }
    }
}
