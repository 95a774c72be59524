package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Filters from the command line: by options, and by the names of files that mean some of them.
class FilterIT {
    private static final int SECTOR = 512;
    private static final long FLUSH = 1;
    private static final long DISCARD = 4;

    @TempDir Path folder;

    private Path image() {
        Path image = folder.resolve("image");
        Peer.run("qemu-img", "create", "-q", "-f", "qcow2", image.toString(), "64M")
                .expectSuccess();
        return image;
    }

    private static Peer.Result qemuIo(String image, String... commands) {
        List<String> command = new ArrayList<>(List.of("qemu-io", "-t", "writeback", "-f", "raw"));
        for (String each : commands) {
            command.addAll(List.of("-c", each));
        }
        command.add(image);
        return Peer.run(command.toArray(String[]::new));
    }

    @Test
    void a_stack_of_filters_is_served_and_leaves_a_sound_image_and_a_log() throws IOException {
        Path image = image();
        Path log = Files.createFile(folder.resolve("log"));
        String below = "file.file.image.file";
        String options =
                String.join(
                        ",",
                        "driver=copy-on-read",
                        "file.driver=qcow2",
                        "file.file.driver=blkdebug",
                        "file.file.align=4096",
                        "file.file.inject-error.0.event=read_aio",
                        "file.file.inject-error.0.sector=1000000",
                        "file.file.image.driver=preallocate",
                        "file.file.image.prealloc-size=4M",
                        below + ".driver=blklogwrites",
                        below + ".log.driver=file",
                        below + ".log.filename=" + log,
                        below + ".file.driver=delay",
                        below + ".file.flush-latency=20",
                        below + ".file.file.driver=file",
                        below + ".file.file.filename=" + image);
        String socket = folder.resolve("socket").toString();
        try (Lockstep server = Lockstep.start("nbd", "-k", socket, "--image-opts", options)) {
            Peer.Result result =
                    qemuIo(
                            server.uri(),
                            "write -P 5 0 1M",
                            "write -z 64k 64k",
                            "flush",
                            "read -P 5 0 64k",
                            "read -P 0 64k 64k",
                            "discard 128k 128k");
            assertEquals(0, result.exit(), result.output() + result.errors());
            assertTrue(Files.size(image) > 4 << 20, "it has room");
            assertEquals(0, server.terminate(), server.errors());
        }
        assertTrue(Files.size(image) < 4 << 20, "the room is given back");
        Peer.run("qemu-img", "check", image.toString()).expectSuccess();
        assertTrue(Files.size(log) > 1 << 20, "what was written is in the log");
    }

    @Test
    void a_history_that_a_killed_server_has_logged_is_an_image_at_each_flush() throws IOException {
        Path image = image();
        byte[] disk = Files.readAllBytes(image);
        Path log = Files.createFile(folder.resolve("log"));
        String options =
                "driver=qcow2,file.driver=blklogwrites,file.file.driver=file,file.file.filename=%s,file.log.driver=file,file.log.filename=%s"
                        .formatted(image, log);
        String socket = folder.resolve("socket").toString();
        List<String> commands = new ArrayList<>();
        for (int step = 1; step <= 5; step++) {
            commands.add("write -P %d %dk 200k".formatted(step, step * 1000));
            commands.add("discard %dk 100k".formatted(step * 1000));
            commands.add("flush");
        }
        commands.add("write -P 9 0 64k");
        try (Lockstep server = Lockstep.start("nbd", "-k", socket, "--image-opts", options)) {
            qemuIo(server.uri(), commands.toArray(String[]::new)).expectSuccess();
            server.kill9();
        }
        int found = 0;
        Path cut = folder.resolve("cut");
        ByteBuffer entries = ByteBuffer.wrap(Files.readAllBytes(log));
        entries.order(ByteOrder.LITTLE_ENDIAN).position(SECTOR);
        while (entries.remaining() >= SECTOR) {
            long[] head = {entries.getLong(), entries.getLong(), entries.getLong()};
            entries.position((entries.position() + SECTOR - 1) / SECTOR * SECTOR);
            disk = apply(disk, head, entries);
            if (head[2] != FLUSH) {
                continue;
            }
            Files.write(cut, disk);
            int checked = Peer.run("qemu-img", "check", "-f", "qcow2", cut.toString()).exit();
            assertTrue(checked == 0 || checked == 3, "qemu-img check: " + checked);
            String read = "read -P %d %dk 100k".formatted(found + 1, (found + 1) * 1000 + 100);
            boolean there =
                    Peer.run("qemu-io", "-r", "-f", "qcow2", "-c", read, cut.toString()).exit()
                            == 0;
            found += found < 5 && there ? 1 : 0;
        }
        assertEquals(5, found, "each flush made what came before it durable");
    }

    /// Does an entry of the log to a disk, whose data comes next.
    private static byte[] apply(byte[] disk, long[] head, ByteBuffer data) {
        int at = (int) head[0] * SECTOR;
        int length = (int) head[1] * SECTOR;
        byte[] changed = Arrays.copyOf(disk, Math.max(disk.length, at + length));
        if ((head[2] & DISCARD) != 0) {
            Arrays.fill(changed, at, at + length, (byte) 0);
        } else {
            data.get(changed, at, length);
        }
        return changed;
    }

    @Test
    void the_names_of_files_that_mean_filters_are_read_as_qemu_reads_them() throws IOException {
        Path rules = folder.resolve("rules");
        Files.writeString(
                rules,
                """
                [inject-error]
                event = "write_aio"
                errno = "28"
                once = "on"
                """);
        Path image = image();
        Path raw = folder.resolve("raw");
        try (RandomAccessFile file = new RandomAccessFile(raw.toFile(), "rw")) {
            file.setLength(64 << 20);
        }
        String debugged = "blkdebug:%s:%s".formatted(rules, image);
        String verified = "blkverify:%s:%s".formatted(raw, image);
        String[] full = {
            "io", "-f", "qcow2", "-c", "write -P 0 0 64k", "-c", "write -P 0 0 64k", debugged
        };
        Peer.Result result = Lockstep.run(full);
        assertEquals(1, result.exit());
        assertTrue(result.output().startsWith("write failed: No space left on device\nwrote "));
        full[0] = "qemu-io";
        Peer.Result theirs = Peer.run(full);
        assertEquals(1, theirs.exit());
        assertTrue(theirs.output().startsWith("write failed: No space left on device\nwrote "));
        Lockstep.run("io", "-f", "raw", "-c", "write -P 7 1M 64k", verified).expectSuccess();
        Peer.run("qemu-io", "-f", "raw", "-c", "read -P 7 1M 64k", verified).expectSuccess();
        qemuIo(raw.toString(), "write -P 8 1088k 1").expectSuccess();
        Peer.Result differs = Lockstep.run("io", "-f", "raw", "-c", "read 0 2M", verified);
        assertEquals(1, differs.exit());
        assertTrue(
                differs.errors().contains("contents mismatch at offset 0x110000:"),
                differs.errors());
    }
}
