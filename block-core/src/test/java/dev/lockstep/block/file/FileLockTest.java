package dev.lockstep.block.file;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Host;
import dev.lockstep.block.file.FileOptions.Locking;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// QEMU's tools and we keep out of each other's way.
class FileLockTest {
    @TempDir Path folder;
    private Path disk = Path.of("");
    private FileOptions options = FileOptions.of(disk);

    @BeforeEach
    void makeDisk() throws IOException {
        disk = folder.resolve("disk.raw");
        FileOpener.create(disk, 1 << 20);
        options = FileOptions.of(disk);
    }

    @Test
    void qemu_refuses_a_disk_that_we_hold_for_writing() throws Exception {
        try (FileDevice device = FileDevice.open(options)) {
            assertEquals(1 << 20, device.size());
            String other = folder.resolve("other.raw").toString();
            FileOpener.create(Path.of(other), 1 << 20);
            assertQemuRefuses(
                    "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", other, disk.toString());
            assertQemuRefuses("qemu-io", "-f", "raw", "-c", "write 0 512", disk.toString());
            Host.run("qemu-img", "info", "-U", disk.toString());
        }
        Host.run("qemu-img", "info", disk.toString());
        Host.run("qemu-io", "-f", "raw", "-c", "write 0 512", disk.toString());
    }

    @Test
    void qemu_may_read_beside_our_reader_and_may_not_write() throws Exception {
        try (FileDevice device = FileDevice.open(options.asReadOnly())) {
            assertEquals(1 << 20, device.size());
            Host.run("qemu-img", "info", disk.toString());
            assertQemuRefuses("qemu-io", "-f", "raw", "-c", "write 0 512", disk.toString());
        }
    }

    @Test
    void we_refuse_a_disk_that_qemu_io_has_open_unless_reading_may_share_it() throws Exception {
        Process holder = Host.interactive("qemu-io", "-f", "raw", disk.toString());
        try {
            Host.say(holder, "write 0 512");
            Host.awaitText(holder, "ops/sec");
            BlockException thrown = assertRefused(options);
            assertTrue(thrown.toString().contains("failed to get"), thrown.toString());
            assertTrue(thrown.toString().contains(disk.toString()), thrown.toString());
            assertRefused(options.asReadOnly());
            FileDevice.open(options.sharedWithWriters()).close();
            FileDevice.open(options.with(Locking.OFF)).close();
        } finally {
            Host.say(holder, "quit");
            holder.waitFor();
        }
        FileDevice.open(options).close();
    }

    @Test
    void we_refuse_a_disk_that_a_storage_daemon_exports_for_writing() throws Exception {
        Path socket = folder.resolve("nbd.sock");
        Process daemon =
                Host.start(
                        folder.resolve("daemon.log"),
                        "qemu-storage-daemon",
                        "--blockdev",
                        "driver=file,node-name=disk,filename=" + disk,
                        "--nbd-server",
                        "addr.type=unix,addr.path=" + socket,
                        "--export",
                        "type=nbd,id=export,node-name=disk,writable=on");
        try {
            await().untilAsserted(() -> assertRefused(options));
            assertRefused(options.asReadOnly());
            assertTrue(daemon.isAlive(), Files.readString(folder.resolve("daemon.log")));
        } finally {
            daemon.destroy();
            daemon.waitFor();
        }
        FileDevice.open(options).close();
    }

    @Test
    void readers_share_a_disk_and_a_writer_among_them_does_not() throws IOException {
        try (FileDevice first = FileDevice.open(options.asReadOnly());
                FileDevice second = FileDevice.open(options.asReadOnly())) {
            assertEquals(first.size(), second.size());
            assertRefused(options);
        }
        try (FileDevice writer = FileDevice.open(options)) {
            assertEquals(1 << 20, writer.size());
            assertRefused(options.asReadOnly());
            FileDevice.open(options.sharedWithWriters()).close();
        }
    }

    private static BlockException assertRefused(FileOptions options) {
        BlockException thrown =
                assertThrows(BlockException.class, () -> FileDevice.open(options).close());
        assertEquals(Kind.DENIED, thrown.kind());
        return thrown;
    }

    private static void assertQemuRefuses(String... command) throws Exception {
        Host.Outcome outcome = Host.outcome(command);
        assertNotEquals(0, outcome.status(), outcome.output());
        assertTrue(outcome.output().contains("lock"), outcome.output());
    }
}
