package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.OptionReply;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/// What servers tell about their exports to a client that does not use them.
@Timeout(60)
class RemoteServerTest {
    @TempDir Path folder;

    @Test
    void qemu_nbd_lists_and_describes_its_export() throws Exception {
        Path disk = Files.write(folder.resolve("disk"), new byte[1 << 20]);
        try (PeerServer server =
                        PeerServer.qemuNbd(folder, "-D", "the words", "-A", disk.toString());
                RemoteServer asked = RemoteServer.connect(server.options())) {
            assertEquals(HeaderStyle.STRUCTURED, asked.headers());
            assertFalse(asked.isEncrypted());
            assertEquals("disk", asked.exports().getFirst().name());
            RemoteExport export = asked.describe("disk");
            assertEquals("the words", export.description());
            assertEquals(1 << 20, export.size());
            assertTrue(export.has(NbdProtocol.FLAG_SEND_TRIM));
            assertNotNull(export.blockSizes());
            assertEquals(
                    List.of(NbdProtocol.META_BASE_ALLOCATION, "qemu:allocation-depth"),
                    export.contexts().stream().map(OptionReply.MetaContext::name).toList());
            assertEquals(
                    List.of("qemu:allocation-depth"), asked.contexts("disk", List.of("qemu:")));
        }
    }

    @Test
    void nbdkit_lists_many_exports_and_does_not_know_another() throws Exception {
        Path exports = Files.createDirectory(folder.resolve("exports"));
        Files.write(exports.resolve("a"), new byte[512]);
        Files.write(exports.resolve("b"), new byte[1024]);
        try (PeerServer server = PeerServer.nbdkit(folder, "file", "dir=" + exports);
                RemoteServer asked = RemoteServer.connect(server.options())) {
            List<String> names =
                    asked.exports().stream().map(OptionReply.Server::name).sorted().toList();
            assertEquals(List.of("a", "b"), names);
            assertEquals(512, asked.describe("a").size());
            assertEquals(1024, asked.describe("b").size());
            assertThrows(BlockException.class, () -> asked.describe("c"));
            assertEquals(1024, asked.describe("b").size());
        }
    }

    @Test
    void a_named_context_is_read_with_its_raw_flags() throws Exception {
        Path base = Files.write(folder.resolve("base"), new byte[1 << 20]);
        Path overlay = folder.resolve("overlay.qcow2");
        int made =
                new ProcessBuilder(
                                "qemu-img",
                                "create",
                                "-q",
                                "-f",
                                "qcow2",
                                "-F",
                                "raw",
                                "-b",
                                base.toString(),
                                overlay.toString())
                        .inheritIO()
                        .start()
                        .waitFor();
        assertEquals(0, made);
        try (PeerServer server =
                        PeerServer.qemuNbd(folder, "-f", "qcow2", "-A", overlay.toString());
                RemoteDevice device =
                        RemoteDevice.open(
                                server.options()
                                        .withContexts(List.of("qemu:allocation-depth", "x:y")))) {
            device.write(65536, ByteBuffer.allocate(65536), WriteFlag.NONE);
            assertEquals(
                    List.of(
                            new StatusExtent(0, 65536, 2),
                            new StatusExtent(65536, 65536, 1),
                            new StatusExtent(131072, (1 << 20) - 131072, 2)),
                    device.status("qemu:allocation-depth", 0, device.size()));
            BlockException unknown =
                    assertThrows(BlockException.class, () -> device.status("x:y", 0, 512));
            assertEquals(Kind.UNSUPPORTED, unknown.kind());
        }
    }

    @Test
    void a_server_that_never_answers_a_read_is_not_waited_for() throws Exception {
        try (FakeServer server = FakeServer.afterHandshake(true, wire -> wire.request());
                RemoteServer asked =
                        RemoteServer.connect(
                                server.options()
                                        .withDeadlines(
                                                Duration.ofMillis(500), Duration.ofHours(1)))) {
            ByteBuffer head = ByteBuffer.allocate(512);
            BlockException silent =
                    assertThrows(BlockException.class, () -> asked.read("x", 0, head));
            assertEquals(Kind.TIMEOUT, silent.kind());
        }
    }

    @Test
    void a_server_that_lists_exports_without_end_is_cut_off() throws Exception {
        try (FakeServer server =
                        new FakeServer(
                                wire -> {
                                    wire.greet();
                                    wire.answer(wire.option(), new OptionReply.Ack());
                                    int list = wire.option();
                                    while (true) {
                                        wire.answer(
                                                list,
                                                new OptionReply.Server("x".repeat(4096), "y"));
                                    }
                                });
                RemoteServer asked = RemoteServer.connect(server.options())) {
            BlockException endless = assertThrows(BlockException.class, asked::exports);
            assertTrue(endless.getMessage().contains("bytes in answer"), endless::getMessage);
        }
    }
}
