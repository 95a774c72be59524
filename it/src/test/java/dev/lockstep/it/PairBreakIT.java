package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;

/// Processes killed, stopped and cut off at the worst moments, and what each side says and holds
/// afterwards.
@Execution(ExecutionMode.CONCURRENT)
class PairBreakIT {
    private static final long SIZE = 8 << 20;
    private static final Duration SOON = Duration.ofSeconds(30);

    /// Slow enough for a test to act in the middle, in strace's words.
    private static final String SLOW = "delay_enter=200000";

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
    void a_secondary_killed_during_a_full_sync_holds_half_a_copy_until_the_next_one()
            throws IOException {
        Guest.run(pair.primaryDisk.toString(), "write -P 1 0 8M");
        Lockstep secondary = pair.startSecondary();
        Lockstep primary;
        try (Fault _ = Fault.inject(secondary.pid(), pair.secondaryDisk, Fault.WRITES, SLOW)) {
            primary = pair.startPrimary("--sync", "full");
            Pair.awaitState(pair.secondaryMonitor(), "syncing");
            secondary.kill9();
        }
        Pair.awaitState(pair.primaryMonitor(), "degraded");
        Lockstep again = pair.startSecondary();
        Pair.awaitState(pair.secondaryMonitor(), "inconsistent");
        assertSays(pair.failover(), "half a copy");
        Guest.runFailing(again.uri(), "read 0 64k");
        Guest.run(primary.uri(), "write -P 2 1M 1M");
        pair.resync().expectSuccess();
        Pair.awaitState(pair.primaryMonitor(), "running");
        assertDisksEqualAfterCheckpoint();
    }

    @Test
    void a_primary_killed_during_a_full_sync_copies_again() throws IOException {
        Guest.run(pair.primaryDisk.toString(), "write -P 1 0 8M");
        Lockstep secondary = pair.startSecondary();
        try (Fault _ = Fault.inject(secondary.pid(), pair.secondaryDisk, Fault.WRITES, SLOW)) {
            Lockstep primary = pair.startPrimary("--sync", "full");
            Pair.awaitState(pair.secondaryMonitor(), "syncing");
            primary.kill9();
        }
        Pair.awaitState(pair.secondaryMonitor(), "inconsistent");
        assertSays(pair.failover(), "half a copy");
        assertSays(Lockstep.run(pair.primaryCommand()), "--sync full");
        pair.startPrimary("--sync", "full");
        Pair.awaitState(pair.primaryMonitor(), "running");
        assertDisksEqualAfterCheckpoint();
    }

    @Test
    void a_primary_killed_in_the_middle_of_a_checkpoint_leaves_one_that_holds() throws Exception {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        pair.checkpoint();
        Guest.run(primary.uri(), "write -P 2 0 1M");
        long epoch = pair.secondaryStatus().get("epoch").asLong();
        Thread checkpoint;
        try (Fault slow = Fault.inject(secondary.pid(), pair.secondaryDisk, Fault.SYNCS, SLOW)) {
            checkpoint = Thread.ofVirtual().start(this::checkpointThatMayFail);
            slow.awaitHit();
            primary.kill9();
        }
        checkpoint.join();
        Pair.awaitState(pair.secondaryMonitor(), "degraded");
        boolean happened = pair.secondaryStatus().get("epoch").asLong() > epoch;
        Guest.run(secondary.uri(), "read -P " + (happened ? 2 : 1) + " 0 1M");
        assertSays(Lockstep.run(pair.primaryCommand()), "--sync full");
        Lockstep restarted = pair.startPrimary("--sync", "full");
        Guest.run(restarted.uri(), "read -P 2 0 1M");
        Pair.awaitState(pair.primaryMonitor(), "running");
        assertDisksEqualAfterCheckpoint();
    }

    private void checkpointThatMayFail() {
        Lockstep.run("colo", "checkpoint", "--monitor", pair.primaryMonitor());
    }

    @ParameterizedTest
    @ValueSource(strings = {"ram", "folder"})
    void a_failover_killed_while_it_commits_is_refused_on_restart_and_can_be_overwritten(
            String place) throws IOException {
        String buffers = place.equals("ram") ? place : folder.resolve(place).toString();
        Lockstep secondary = pair.startSecondary("--buffers", buffers);
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        pair.checkpoint();
        Guest.run(primary.uri(), "write -P 2 0 1M");
        primary.kill9();
        try (Fault _ =
                Fault.inject(secondary.pid(), pair.secondaryDisk, Fault.WRITES, "error=EIO")) {
            pair.failover().expectSuccess();
            assertEquals("failing-over", pair.secondaryStatus().get("state").asText());
            Guest.run(secondary.uri(), "read -P 1 0 1M");
            secondary.kill9();
        }
        String[] again = pair.secondaryCommand("--buffers", buffers);
        assertSays(Lockstep.run(again), "failover was interrupted");
        pair.startSecondary("--buffers", buffers, "--force");
        Pair.awaitState(pair.secondaryMonitor(), "inconsistent");
        Lockstep restarted = pair.startPrimary("--sync", "full");
        Guest.run(restarted.uri(), "read -P 2 0 1M");
        Pair.awaitState(pair.primaryMonitor(), "running");
        assertDisksEqualAfterCheckpoint();
    }

    @Test
    void a_cable_that_is_back_within_a_second_is_not_noticed_and_later_is_a_loss()
            throws IOException {
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        pair.cutLink();
        awaitSilence(300);
        pair.joinLink();
        await().atMost(SOON).until(() -> silence() < 300);
        assertEquals("running", pair.primaryStatus().get("state").asText());
        Guest.run(primary.uri(), "write -P 2 1M 1M");
        assertDisksEqualAfterCheckpoint();
        pair.cutLink();
        Pair.awaitState(pair.primaryMonitor(), "degraded");
        Guest.run(primary.uri(), "write -P 3 2M 1M", "flush");
        pair.joinLink();
        Pair.awaitState(pair.secondaryMonitor(), "stale");
        assertFalse(pair.primaryStatus().get("inSync").asBoolean());
        assertFalse(pair.secondaryStatus().get("inSync").asBoolean());
        assertSays(pair.failover(), "went on without it");
    }

    @Test
    void with_on_peer_loss_stop_a_write_waits_until_a_resync_releases_it() throws Exception {
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none", "--on-peer-loss", "stop");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        pair.cutLink();
        AtomicBoolean acknowledged = new AtomicBoolean();
        Thread writer =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    Guest.run(primary.uri(), "write -P 2 0 1M");
                                    acknowledged.set(true);
                                });
        Pair.awaitState(pair.primaryMonitor(), "degraded");
        assertFalse(acknowledged.get(), "acknowledged although the peer is lost");
        pair.joinLink();
        assertEquals("degraded", pair.primaryStatus().get("state").asText());
        assertFalse(acknowledged.get(), "acknowledged although the peer is lost");
        assertTrue(pair.primaryStatus().get("holdsWrites").asBoolean());
        String told = Lockstep.succeed("colo", "status", "--monitor", pair.primaryMonitor());
        assertTrue(told.contains("holds its guest's writes"), told);
        pair.resync().expectSuccess();
        writer.join();
        assertTrue(acknowledged.get());
        Pair.awaitState(pair.primaryMonitor(), "running");
        assertDisksEqualAfterCheckpoint();
        Guest.run(primary.uri(), "read -P 2 0 1M");
    }

    @Test
    void a_secondary_that_stood_still_is_told_that_it_is_stale() {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        secondary.signal("STOP");
        try {
            Guest.run(primary.uri(), "write -P 1 0 1M", "flush");
            Pair.awaitState(pair.primaryMonitor(), "degraded");
        } finally {
            secondary.signal("CONT");
        }
        Pair.awaitState(pair.secondaryMonitor(), "stale");
        assertSays(pair.failover(), "went on without it");
        assertEquals("degraded", pair.primaryStatus().get("state").asText());
    }

    @Test
    void a_primary_that_stood_still_finds_its_place_taken() {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none", "--io-timeout", "5");
        Guest.run(primary.uri(), "write -P 1 0 1M");
        pair.checkpoint();
        primary.signal("STOP");
        try {
            Pair.awaitState(pair.secondaryMonitor(), "degraded");
            pair.failover().expectSuccess();
            Guest.run(secondary.uri(), "write -P 7 0 1M");
        } finally {
            primary.signal("CONT");
        }
        Guest.run(primary.uri(), "write -P 2 0 2M", "flush");
        Pair.awaitState(pair.primaryMonitor(), "degraded");
        Guest.run(secondary.uri(), "flush", "read -P 7 0 1M", "read -P 0 1M 1M");
        assertSays(pair.resync(), "secondary");
        Guest.run(secondary.uri(), "read -P 7 0 1M", "read -P 0 1M 1M");
        assertEquals("primary", pair.secondaryStatus().get("role").asText());
        assertEquals(0, secondary.terminate(), secondary::errors);
        Guest.run(pair.secondaryDisk.toString(), "read -P 7 0 1M", "read -P 0 1M 1M");
    }

    @Test
    void a_primary_that_stood_still_goes_on_when_nobody_took_its_place() throws IOException {
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none", "--io-timeout", "5");
        primary.signal("STOP");
        try {
            Pair.awaitState(pair.secondaryMonitor(), "degraded");
        } finally {
            primary.signal("CONT");
        }
        Guest.run(primary.uri(), "write -P 2 0 2M", "flush");
        Pair.awaitState(pair.primaryMonitor(), "running");
        Pair.awaitState(pair.secondaryMonitor(), "running");
        assertDisksEqualAfterCheckpoint();
    }

    @Test
    void a_flush_that_failed_on_the_primary_is_never_claimed_later() {
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        try (Fault _ = Fault.inject(primary.pid(), pair.primaryDisk, Fault.SYNCS, "error=EIO")) {
            assertFlushFails(primary);
        }
        assertFlushFails(primary);
        Lockstep.run("colo", "checkpoint", "--monitor", pair.primaryMonitor()).expectOneSentence();
        assertEquals(1, primary.terminate(), primary::errors);
        assertSays(Lockstep.run(pair.primaryCommand()), "--sync full");
    }

    @Test
    void a_flush_that_failed_on_the_secondary_ends_the_pair() {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        try (Fault _ =
                Fault.inject(secondary.pid(), pair.secondaryDisk, Fault.SYNCS, "error=EIO")) {
            Guest.run(primary.uri(), "write -P 1 0 64k", "flush");
            Pair.awaitState(pair.primaryMonitor(), "degraded");
        }
        Guest.run(primary.uri(), "write -P 2 0 64k", "flush");
        Pair.awaitState(pair.secondaryMonitor(), "stale");
        assertSays(pair.resync(), "no flush succeeds");
    }

    /// Each write of qemu-io asks to be durable.
    private static void assertFlushFails(Lockstep side) {
        String said = Guest.runFailing(side.uri(), "write -P 1 0 64k");
        assertTrue(said.contains("Input/output error"), said);
    }

    private static void assertSays(Peer.Result refused, String reason) {
        String said = refused.expectOneSentence();
        assertTrue(said.contains(reason), said);
    }

    private void awaitSilence(int millis) {
        await().atMost(SOON).pollInterval(Duration.ofMillis(10)).until(() -> silence() > millis);
    }

    private int silence() {
        try (Monitor monitor = new Monitor(pair.primaryMonitor())) {
            JsonNode peer = monitor.execute("colo-status", "{}").get("peer");
            return peer.get("lastHeardMs").asInt();
        }
    }

    private void assertDisksEqualAfterCheckpoint() throws IOException {
        pair.checkpoint();
        assertEquals(-1, Files.mismatch(pair.primaryDisk, pair.secondaryDisk));
    }
}
