package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// A file system of a pair runs out of room: nobody crashes, and nobody claims what is not so.
class FullDiskIT {
    private static final long SIZE = 8 << 20;

    @TempDir Path folder;
    private Path small;
    private Pair pair;

    @BeforeEach
    void mount() throws IOException {
        small = Files.createDirectory(folder.resolve("small"));
        Peer.run("mount", "-t", "tmpfs", "-o", "size=2m", "lockstep-test", small.toString())
                .expectSuccess();
        pair = new Pair(folder, SIZE);
    }

    @AfterEach
    void unmount() {
        pair.close();
        Peer.run("umount", small.toString()).expectSuccess();
    }

    @Test
    void a_full_secondary_disk_costs_the_secondary_and_not_the_guest() throws IOException {
        moveToSmall(pair.secondaryDisk);
        pair.startSecondary("--state", folder.resolve("S.state").toString());
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 4M", "flush", "read -P 1 0 4M");
        Pair.awaitState(pair.primaryMonitor(), "degraded");
        Pair.awaitState(pair.secondaryMonitor(), "stale");
        assertFalse(pair.secondaryStatus().get("inSync").asBoolean());
    }

    @Test
    void full_buffers_cost_the_secondary_and_not_the_guest() {
        Lockstep secondary = pair.startSecondary("--buffers", small.toString());
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 4M", "flush", "read -P 1 0 4M");
        // Zeroes need no room: nothing was overwritten that had to be kept.
        Guest.run(primary.uri(), "write -P 2 0 4M", "flush", "read -P 2 0 4M");
        assertTrue(secondary.isAlive() && primary.isAlive());
        String said = Guest.runFailing(secondary.uri(), "write -P 3 4M 4M");
        assertTrue(said.contains("failed"), said);
    }

    @Test
    void a_full_primary_disk_is_the_guests_to_hear_and_the_disks_are_equal_after_a_checkpoint()
            throws IOException {
        moveToSmall(pair.primaryDisk);
        pair.startSecondary();
        Lockstep primary =
                pair.startPrimary("--sync", "none", "--state", folder.resolve("P.st").toString());
        String said = Guest.runFailing(primary.uri(), "write -P 1 0 4M");
        assertTrue(said.contains("No space left on device"), said);
        assertEquals("running", pair.primaryStatus().get("state").asText());
        pair.checkpoint();
        assertEquals(-1, Files.mismatch(pair.primaryDisk, pair.secondaryDisk));
    }

    @Test
    void a_state_that_cannot_be_stored_fails_the_side_and_acknowledges_nothing() throws Exception {
        pair.startSecondary();
        Lockstep primary =
                pair.startPrimary("--sync", "none", "--state", small.resolve("P.st").toString());
        Guest.run(primary.uri(), "write -P 1 0 64k");
        Peer.run("dd", "if=/dev/zero", "of=" + small.resolve("rest"), "bs=4k");
        pair.targetLink.sever();
        String said = Guest.runFailing(primary.uri(), "write -P 2 0 64k");
        assertTrue(said.contains("failed"), said);
        Pair.awaitState(pair.primaryMonitor(), "failed");
        String error = pair.primaryStatus().get("error").asText();
        assertTrue(error.contains("P.st"), error);
        assertFalse(pair.primaryStatus().get("inSync").asBoolean());
    }

    private void moveToSmall(Path disk) throws IOException {
        Path target = small.resolve(disk.getFileName());
        Peer.run("cp", "--sparse=always", disk.toString(), target.toString()).expectSuccess();
        Files.delete(disk);
        Files.createSymbolicLink(disk, target);
    }
}
