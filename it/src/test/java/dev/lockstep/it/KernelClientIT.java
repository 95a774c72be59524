package dev.lockstep.it;

import static dev.lockstep.it.KernelGuest.HOST;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.URI;
import java.nio.file.Path;

/// The Linux kernel's client: ext4 on `/dev/nbd0` of an emulated guest, and what the server's file
/// holds afterwards.
class KernelClientIT {
    private static final int SIZE = 64 << 20;
    private static final int SHA256_DIGITS = 64;

    @TempDir Path folder;
    private Path disk;
    private Lockstep server;
    private KernelGuest guest;

    @BeforeEach
    void boot() throws IOException {
        disk = folder.resolve("disk.raw");
        try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(SIZE);
        }
        server = serve(0);
        guest = KernelGuest.boot();
    }

    @AfterEach
    void turnOff() {
        guest.close();
        server.close();
    }

    @Test
    void a_file_system_over_several_connections_is_written_synced_trimmed_and_found_whole()
            throws IOException {
        guest.run("nbd-client -N disk -b 4096 -C 4 %s %d /dev/nbd0".formatted(HOST, port()));
        assertEquals(
                4, guest.run("netstat -tn").lines().filter(l -> l.contains("ESTABLISHED")).count());
        assertEquals(
                "131072\n4096\n1\nwrite back\n",
                guest.run(
                        "cd /sys/block/nbd0; cat size queue/logical_block_size queue/fua"
                                + " queue/write_cache; cd /tmp"));
        guest.run("mkfs.ext4 -q /dev/nbd0");
        guest.run("mount -t ext4 /dev/nbd0 /mnt");
        guest.run("dd if=/dev/urandom of=/mnt/kept bs=1M count=4 conv=fsync");
        guest.run("dd if=/dev/urandom of=/mnt/gone bs=1M count=24 conv=fsync");
        String sum = guest.run("sha256sum </mnt/kept");
        long before = allocated();
        guest.run("rm /mnt/gone; sync; fstrim /mnt");
        long after = allocated();
        assertTrue(before - after > 20 << 20, () -> "trim gave back " + (before - after));
        guest.run("dd if=/dev/zero of=/mnt/direct bs=64k count=64 oflag=direct conv=fsync");
        guest.run("umount /mnt; blockdev --flushbufs /dev/nbd0; e2fsck -fn /dev/nbd0");
        guest.run("nbd-client -d /dev/nbd0");
        assertEquals("", guest.run("dmesg | grep -i -E 'nbd.*(error|fail|timed)' || true"));
        assertHolds("kept", sum);
    }

    @Test
    void the_guest_goes_on_when_the_server_was_killed_and_started_again() throws IOException {
        guest.run("nbd-attach connect %s %d disk 2 60".formatted(HOST, port()));
        guest.run("mkfs.ext4 -q /dev/nbd0");
        guest.run("mount -t ext4 /dev/nbd0 /mnt");
        guest.run("dd if=/dev/urandom of=/mnt/synced bs=1M count=4 conv=fsync");
        String synced = guest.run("sha256sum </mnt/synced");
        int port = port();
        for (int round = 1; round <= 2; round++) {
            guest.run("dd if=/dev/urandom of=/mnt/busy bs=64k count=256 conv=fsync 2>/tmp/dd &");
            server.kill9();
            // The guest has found its connections dead while the write goes on.
            guest.run(
                    "until dmesg | grep -c 'Receive control failed' | grep -qx %d; do sleep 0.1; done"
                            .formatted(2 * round));
            server = serve(port);
            guest.run("nbd-attach reconnect %s %d disk 2".formatted(HOST, port));
            guest.run("wait; cat /tmp/dd");
        }
        String busy = guest.run("sha256sum </mnt/busy");
        assertEquals("", guest.run("dmesg | grep -E 'I/O error|EXT4-fs (error|warning)' || true"));
        guest.run("umount /mnt; blockdev --flushbufs /dev/nbd0; e2fsck -fn /dev/nbd0");
        guest.run("nbd-client -d /dev/nbd0");
        assertHolds("synced", synced);
        assertHolds("busy", busy);
    }

    private Lockstep serve(int port) {
        return Lockstep.start(
                "nbd",
                "-f",
                "raw",
                "-t",
                "-e",
                "0",
                "--discard=unmap",
                "-x",
                "disk",
                "-b",
                "127.0.0.1",
                "-p",
                Integer.toString(port),
                disk.toString());
    }

    private int port() {
        return URI.create(server.uri()).getPort();
    }

    private long allocated() {
        String blocks = Peer.run("stat", "-c", "%b", disk.toString()).expectSuccess().output();
        return Long.parseLong(blocks.strip()) * 512;
    }

    /// Reads the file out of the served image itself, once the server has ended as it should.
    private void assertHolds(String name, String sum) throws IOException {
        if (server.isAlive()) {
            assertEquals(0, server.terminate(), server::errors);
        }
        Peer.run("/sbin/e2fsck", "-fn", disk.toString()).expectSuccess();
        Path copy = folder.resolve(name);
        String dump = "dump %s %s".formatted(name, copy);
        Peer.run("/sbin/debugfs", "-R", dump, disk.toString()).expectSuccess();
        String found = Peer.run("sha256sum", copy.toString()).expectSuccess().output();
        assertEquals(sum.substring(0, SHA256_DIGITS), found.substring(0, SHA256_DIGITS), name);
    }
}
