package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/// The main job as an operator sees it.
class PairIT {
    private static final long SIZE = 16 << 20;

    @TempDir Path folder;
    private Pair pair;

    @BeforeEach
    void make() {
        pair = new Pair(folder, SIZE);
    }

    @AfterEach
    void end() {
        pair.close();
    }

    @Test
    void failover_to_the_checkpoint_drops_what_the_primary_wrote_since() throws Exception {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 1M", "write -P 2 4M 64k");
        pair.checkpoint();
        assertEquals(
                pair.primaryStatus().get("epoch").asLong(),
                pair.secondaryStatus().get("epoch").asLong());
        Guest.run(primary.uri(), "write -P 9 0 512k", "write -P 9 8M 4k", "flush");
        Guest.run(secondary.uri(), "read -P 1 0 1M", "write -P 3 12M 8k", "read -P 0 8M 4k");
        primary.kill9();
        String told = pair.failover().expectSuccess().output();
        assertTrue(told.contains(Long.toString((512 << 10) + (64 << 10))), told);
        Guest.run(
                secondary.uri(),
                "read -P 1 0 1M",
                "read -P 2 4M 64k",
                "read -P 0 8M 4k",
                "read -P 3 12M 8k",
                "write -P 4 1M 4k",
                "flush");
        await().atMost(Duration.ofSeconds(20))
                .until(() -> pair.secondaryStatus().get("state").asText().equals("degraded"));
        assertEquals("primary", pair.secondaryStatus().get("role").asText());
        assertEquals(0, secondary.terminate(), secondary::errors);
        assertEquals(1, secondary.errors().lines().count(), secondary::errors);
        assertTrue(secondary.errors().contains("running -> degraded"), secondary::errors);
        Guest.run(
                pair.secondaryDisk.toString(),
                "read -P 1 0 1M",
                "read -P 4 1M 4k",
                "read -P 0 8M 4k",
                "read -P 3 12M 8k");
    }

    @Test
    void failover_to_the_latest_keeps_every_acknowledged_write() {
        Lockstep secondary = pair.startSecondary("--buffers", folder.resolve("buffers").toString());
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        pair.checkpoint();
        Guest.run(primary.uri(), "write -P 9 0 512k", "discard 8M 64k");
        primary.kill9();
        pair.failover("--to", "latest").expectSuccess();
        Guest.run(secondary.uri(), "read -P 9 0 512k", "read -P 1 512k 512k");
    }

    @Test
    void a_full_sync_copies_a_disk_whose_guest_runs() {
        Guest.run(pair.primaryDisk.toString(), "write -P 5 0 16M", "discard 3M 1M");
        Guest.run(pair.secondaryDisk.toString(), "write -P 7 0 16M");
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "full");
        Guest.run(primary.uri(), "write -P 6 1M 64k");
        await().atMost(Duration.ofSeconds(30))
                .until(() -> pair.primaryStatus().get("state").asText().equals("running"));
        pair.checkpoint();
        assertDisksEqual();
        assertTrue(pair.primaryStatus().get("inSync").asBoolean());
    }

    @Test
    void the_guest_of_the_primary_never_notices_the_loss_of_the_secondary() {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        secondary.kill9();
        Guest.run(primary.uri(), "write -P 2 0 1M", "flush", "read -P 2 0 1M");
        assertEquals("degraded", pair.primaryStatus().get("state").asText());
        assertFalse(pair.primaryStatus().get("inSync").asBoolean());
    }

    @Test
    void a_secondary_that_was_left_behind_learns_it_and_refuses_to_be_promoted() {
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        pair.cutLink();
        Guest.run(primary.uri(), "write -P 2 0 1M", "flush");
        await().atMost(Duration.ofSeconds(20))
                .until(() -> pair.primaryStatus().get("state").asText().equals("degraded"));
        pair.joinLink();
        await().atMost(Duration.ofSeconds(20))
                .until(() -> pair.secondaryStatus().get("state").asText().equals("stale"));
        pair.failover().expectOneSentence();
    }

    @Test
    void a_cleanly_stopped_pair_goes_on_without_a_sync() {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        assertEquals(0, primary.terminate(), primary::errors);
        assertEquals("", primary.errors());
        assertEquals(0, secondary.terminate(), secondary::errors);
        assertEquals("", secondary.errors());
        assertDisksEqual();
        pair.startSecondary();
        primary = pair.startPrimary();
        Guest.run(primary.uri(), "read -P 1 0 1M", "write -P 2 1M 4k");
        pair.checkpoint();
        assertDisksEqual();
    }

    @Test
    void after_a_crash_the_pair_is_not_resumed_without_a_sync() {
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        primary.kill9();
        String refusal = Lockstep.run(pair.primaryCommand()).expectOneSentence();
        assertTrue(refusal.contains("--sync"), refusal);
        pair.startPrimary("--sync", "full");
        await().atMost(Duration.ofSeconds(30))
                .until(() -> pair.primaryStatus().get("state").asText().equals("running"));
        assertDisksEqual();
    }

    @Test
    void a_promoted_side_pairs_with_a_new_secondary_under_its_running_guest() throws Exception {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        pair.checkpoint();
        primary.kill9();
        pair.failover().expectSuccess();
        Path other = Files.createDirectory(folder.resolve("other"));
        try (Pair next = new Pair(other, SIZE)) {
            next.startSecondary();
            Lockstep.succeed(
                    "colo",
                    "resync",
                    "--secondary",
                    next.secondaryUri(),
                    "--secondary-monitor",
                    "127.0.0.1:" + next.monitorLink.port(),
                    "--monitor",
                    pair.secondaryMonitor());
            Guest.run(secondary.uri(), "write -P 8 2M 1M", "read -P 1 0 1M");
            await().atMost(Duration.ofSeconds(30))
                    .until(() -> pair.secondaryStatus().get("state").asText().equals("running"));
            Lockstep.succeed("colo", "checkpoint", "--monitor", pair.secondaryMonitor());
            assertEquals(-1, Files.mismatch(pair.secondaryDisk, next.secondaryDisk));
        }
    }

    @Test
    void a_failover_gives_the_promoted_side_a_generation_of_its_own() {
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        String before = pair.secondaryStatus().get("generation").asText();
        String refusal = pair.failover().expectOneSentence();
        assertTrue(refusal.contains("--force"), refusal);
        primary.kill9();
        pair.failover().expectSuccess();
        assertNotEquals(before, pair.secondaryStatus().get("generation").asText());
        pair.failover().expectOneSentence();
    }

    private void assertDisksEqual() {
        try {
            assertEquals(-1, Files.mismatch(pair.primaryDisk, pair.secondaryDisk));
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
