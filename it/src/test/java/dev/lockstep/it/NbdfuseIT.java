package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/// This host's ext4 on an export of ours: nbdfuse makes a file of it, and a loop device a disk of
/// the file.
class NbdfuseIT {
    private static final int SIZE = 128 << 20;

    @TempDir Path folder;
    private Path disk;
    private Path mounted;
    private Lockstep server;
    private Process fuse;
    private String loop = "";

    @BeforeEach
    void attach() throws IOException {
        assertTrue(
                Files.isWritable(Path.of("/dev/fuse"))
                        && Files.isWritable(Path.of("/dev/loop-control")),
                "/dev/fuse and /dev/loop-control have to be writable: load the modules fuse and"
                        + " loop, and run this as root");
        disk = folder.resolve("disk.raw");
        try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(SIZE);
        }
        String socket = folder.resolve("s").toString();
        server =
                Lockstep.start(
                        "nbd",
                        "-f",
                        "raw",
                        "-t",
                        "-e",
                        "0",
                        "--discard=unmap",
                        "-k",
                        socket,
                        disk.toString());
        Path file = Files.createDirectory(folder.resolve("fuse")).resolve("nbd");
        fuse = Peer.start(folder.resolve("fuse.log"), "nbdfuse", file.toString(), server.uri());
        await().atMost(Duration.ofSeconds(20))
                .until(() -> Files.exists(file) && Files.size(file) == SIZE);
        loop = run("losetup", "--find", "--show", file.toString()).strip();
        mounted = Files.createDirectory(folder.resolve("mnt"));
    }

    @AfterEach
    void detach() throws InterruptedException {
        Peer.run("umount", mounted.toString());
        if (!loop.isEmpty()) {
            Peer.run("losetup", "-d", loop);
        }
        Peer.run("umount", folder.resolve("fuse").toString());
        fuse.destroy();
        fuse.waitFor();
        server.close();
    }

    @Test
    void a_file_system_of_the_host_keeps_what_fio_wrote_and_verified() throws IOException {
        run("mkfs.ext4", "-q", loop);
        run("mount", "-t", "ext4", loop, mounted.toString());
        String output =
                run(
                        "fio",
                        "--name=verify",
                        "--directory=" + mounted,
                        "--rw=randwrite",
                        "--bsrange=512-64k",
                        "--size=48m",
                        "--ioengine=psync",
                        "--fsync=256",
                        "--verify=crc32c",
                        "--verify_state_save=0",
                        "--verify_fatal=1",
                        "--do_verify=1");
        assertTrue(output.contains("err= 0"), output);
        String written = run("sha256sum", mounted.resolve("verify.0.0").toString());
        run("umount", mounted.toString());
        run("e2fsck", "-fn", loop);
        run("losetup", "-d", loop);
        run("umount", folder.resolve("fuse").toString());
        assertEquals(0, server.terminate(), server::errors);

        run("e2fsck", "-fn", disk.toString());
        loop = run("losetup", "--find", "--show", "--read-only", disk.toString()).strip();
        run("mount", "-t", "ext4", "-o", "ro", loop, mounted.toString());
        assertEquals(written, run("sha256sum", mounted.resolve("verify.0.0").toString()));
    }

    private static String run(String... command) {
        return Peer.run(command).expectSuccess().output();
    }
}
