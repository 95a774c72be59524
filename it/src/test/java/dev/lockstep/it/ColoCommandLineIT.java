package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What the commands of a pair promise their operator: options, refusals, statuses, signals.
@Execution(ExecutionMode.CONCURRENT)
class ColoCommandLineIT {
    private static final long SIZE = 1 << 20;
    private static final Duration SOON = Duration.ofSeconds(20);

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
    void options_that_break_a_rule_are_refused_and_leave_nothing_behind() throws Exception {
        for (String name : List.of("1vm", "", "a/b", "a".repeat(32))) {
            assertRefused("letters", pair.secondaryCommand("--name", name));
        }
        assertRefused("--insecure", pair.secondaryCommand("--listen", "0.0.0.0:0"));
        assertRefused("--insecure", pair.primaryCommand("--monitor", "[::]:0"));
        assertRefused("must be equal", pair.primaryCommand("--secondary", "nbd://[::1]:1/other"));
        assertRefused("none or full", pair.primaryCommand("--sync", "half"));
        assertRefused("--state", pair.secondaryCommand("--disk", "/dev/null"));
        String none = folder.resolve("none.raw").toString();
        assertRefused("No such file", pair.secondaryCommand("--disk", none));
        assertRefused("No such file", pair.primaryCommand("--disk", none));
        assertRefused(
                "two listeners",
                pair.secondaryCommand("--monitor", "unix:s", "--export", "unix:s"));
        String nowhere = folder.resolve("no/state").toString();
        assertRefused("No such file", pair.primaryCommand("--state", nowhere));
        try (var files = Files.list(folder)) {
            assertEquals(2, files.count(), "only the two disks");
        }
    }

    @Test
    void sigterm_before_the_ready_line_is_a_clean_end() throws Exception {
        try (ServerSocket silent = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Path output = folder.resolve("output");
            Process primary =
                    Lockstep.launch(
                            output,
                            pair.primaryCommand(
                                    "--sync",
                                    "none",
                                    "--secondary-monitor",
                                    "127.0.0.1:" + silent.getLocalPort()));
            try (var _ = silent.accept()) {
                primary.destroy();
                assertTrue(primary.waitFor(20, TimeUnit.SECONDS));
                assertEquals(0, primary.exitValue());
                assertEquals("", Files.readString(output));
            } finally {
                primary.destroyForcibly();
            }
        }
        assertFalse(Files.exists(folder.resolve("p.mon")));
    }

    @Test
    void a_secondary_takes_free_ports_and_makes_its_folder() throws Exception {
        Path buffers = folder.resolve("deep/buffers");
        try (Lockstep secondary =
                Lockstep.start(
                        pair.secondaryCommand(
                                "--listen",
                                "[::1]:0",
                                "--export",
                                "[::1]:0",
                                "--monitor",
                                "127.0.0.1:0",
                                "--buffers",
                                buffers.toString()))) {
            assertTrue(secondary.uri().matches("nbd://\\[::1]:\\d+/vm1"), secondary.uri());
            assertTrue(Files.isDirectory(buffers));
            String monitor = taken("--monitor", secondary);
            JsonNode status = Lockstep.status(monitor);
            assertEquals(monitor, status.get("monitor").asText());
            assertEquals(secondary.uri(), status.get("export").asText());
            assertEquals(taken("--listen", secondary), status.get("listen").asText());
            assertEquals("secondary", status.get("role").asText());
            assertEquals("waiting", status.get("state").asText());
            assertEquals(0, status.get("epoch").asLong());
            assertEquals(0, status.get("bufferedBytes").asLong());
            assertTrue(status.get("peer").isNull());
            assertTrue(status.get("generation").isNull());
            assertFalse(status.get("inSync").asBoolean());
            String said = Guest.runFailing(secondary.uri(), "read 0 4k");
            assertTrue(said.contains("Input/output error"), said);
            said = Guest.runFailing(secondary.uri(), "write 0 4k");
            assertTrue(said.contains("Input/output error"), said);
            assertRefused("never in sync", "colo", "failover", "--monitor", monitor);
            startOn(status.get("listen").asText(), monitor);
            assertEquals(0, secondary.terminate(), secondary::errors);
            assertEquals(2, secondary.errors().lines().count(), secondary::errors);
            assertEquals(List.of(), secondary.furtherOutput());
        }
    }

    /// A primary whose own monitor is on a free port too.
    private void startOn(String listen, String secondaryMonitor) {
        try (Lockstep primary =
                Lockstep.start(
                        pair.primaryCommand(
                                "--sync",
                                "full",
                                "--secondary",
                                listen,
                                "--secondary-monitor",
                                secondaryMonitor,
                                "--monitor",
                                "127.0.0.1:0"))) {
            Pair.awaitState(taken("--monitor", primary), "running");
            await().atMost(SOON).until(() -> primary.errors().contains("100 %"));
            assertEquals(0, primary.terminate(), primary::errors);
        }
    }

    /// What standard error says of the free port that an option took.
    private static String taken(String option, Lockstep side) {
        Matcher line = Pattern.compile(option + " \\S+ is (\\S+)").matcher(side.errors());
        assertTrue(line.find(), side::errors);
        return line.group(1);
    }

    @Test
    void a_running_pair_refuses_what_would_break_it() {
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "full", "--checkpoint-every", "0.2");
        Pair.awaitState(pair.primaryMonitor(), "running");
        long epoch = pair.primaryStatus().get("epoch").asLong();
        await().atMost(SOON).until(() -> pair.primaryStatus().get("epoch").asLong() > epoch + 2);
        assertRefused(
                "ask its primary", "colo", "checkpoint", "--monitor", pair.secondaryMonitor());
        assertTrue(pair.failover().expectOneSentence().contains("still hears its primary"));
        assertRefused("primary already", "colo", "failover", "--monitor", pair.primaryMonitor());
        assertRefused(
                "without a peer",
                "colo",
                "resync",
                "--secondary",
                pair.secondaryUri(),
                "--secondary-monitor",
                pair.secondaryMonitor(),
                "--monitor",
                pair.primaryMonitor());
        for (Path disk : List.of(pair.primaryDisk, pair.secondaryDisk)) {
            String said = Guest.runFailing(disk.toString(), "read 0 4k");
            assertTrue(said.contains("lock"), said);
        }
        JsonNode status = pair.primaryStatus();
        assertEquals("primary", status.get("role").asText());
        assertEquals("running", status.get("state").asText());
        assertTrue(status.get("inSync").asBoolean());
        assertEquals(0, status.get("bufferedBytes").asLong());
        assertTrue(status.get("peer").get("connected").asBoolean());
        assertTrue(status.get("peer").get("lastHeardMs").asLong() < 1000);
        assertEquals(
                status.get("generation").asText(),
                pair.secondaryStatus().get("generation").asText());
        assertEquals(0, primary.terminate(), primary::errors);
        Pair.awaitState(pair.secondaryMonitor(), "waiting");
        assertTrue(pair.secondaryStatus().get("inSync").asBoolean());
    }

    @Test
    void disks_that_cannot_be_a_pair_are_refused_with_one_sentence() throws Exception {
        Path large = Files.write(folder.resolve("large.raw"), new byte[2 << 20]);
        pair.startSecondary();
        assertRefused(
                "same --name",
                pair.primaryCommand("--sync", "full", "--name", "vm2", "--secondary", otherName()));
        assertRefused(
                "Connection refused",
                pair.primaryCommand("--sync", "full", "--secondary", "nbd://127.0.0.1:1/vm1"));
        assertRefused(
                "export for guests",
                pair.primaryCommand(
                        "--sync",
                        "full",
                        "--secondary",
                        "nbd+unix:///vm1?socket=" + folder.resolve("s.sock")));
        assertRefused(
                "no monitor",
                pair.primaryCommand(
                        "--sync", "full", "--secondary-monitor", "127.0.0.1:" + pair.targetPort()));
        assertRefused(
                "differ in size",
                pair.primaryCommand("--sync", "full", "--disk", large.toString()));
        Path socket = folder.resolve("qemu.sock");
        Process qemu =
                Peer.start(
                        folder.resolve("qemu.log"),
                        "qemu-nbd",
                        "-f",
                        "raw",
                        "-t",
                        "-k",
                        socket.toString(),
                        pair.primaryDisk.toString());
        try {
            await().atMost(SOON).until(() -> Files.exists(socket));
            assertRefused("lock", pair.primaryCommand("--sync", "full"));
        } finally {
            qemu.destroy();
            assertTrue(qemu.waitFor(20, TimeUnit.SECONDS));
        }
        assertEquals("waiting", pair.secondaryStatus().get("state").asText());
    }

    private String otherName() {
        return pair.secondaryUri().replace("/vm1", "/vm2");
    }

    @Test
    void a_record_that_was_kept_for_another_disk_proves_nothing() throws Exception {
        try (Lockstep secondary = pair.startSecondary();
                Lockstep primary = pair.startPrimary("--sync", "none")) {
            assertEquals(0, primary.terminate(), primary::errors);
            assertEquals(0, secondary.terminate(), secondary::errors);
        }
        pair.startSecondary();
        Path other = Files.write(folder.resolve("other.raw"), new byte[(int) SIZE]);
        Peer.Result refused =
                Lockstep.run(
                        pair.primaryCommand(
                                "--disk", "" + other, "--state", pair.primaryDisk + ".lockstep"));
        assertEquals(1, refused.exit());
        assertTrue(refused.errors().contains("another disk"), refused::errors);
        assertTrue(refused.errors().contains("--sync full"), refused::errors);
        assertEquals("waiting", pair.secondaryStatus().get("state").asText());
        pair.startPrimary();
    }

    @Test
    void under_stop_a_write_waits_for_a_new_secondary() throws Exception {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none", "--on-peer-loss", "stop");
        Guest.run(primary.uri(), "write -P 1 0 4k");
        secondary.kill9();
        Pair.awaitState(pair.primaryMonitor(), "degraded");
        Process held =
                Peer.start(
                        folder.resolve("held.log"),
                        "qemu-io",
                        "-f",
                        "raw",
                        primary.uri(),
                        "-c",
                        "write -P 2 0 4k");
        try (Pair next = new Pair(Files.createDirectory(folder.resolve("next")), SIZE)) {
            assertFalse(held.waitFor(1, TimeUnit.SECONDS), "the write was not held");
            next.startSecondary();
            Lockstep.succeed(
                    "colo",
                    "resync",
                    "--secondary",
                    next.secondaryUri(),
                    "--secondary-monitor",
                    next.secondaryMonitor(),
                    "--monitor",
                    pair.primaryMonitor());
            assertTrue(held.waitFor(20, TimeUnit.SECONDS));
            assertEquals(0, held.exitValue());
            Pair.awaitState(pair.primaryMonitor(), "running");
            Lockstep.succeed("colo", "checkpoint", "--monitor", pair.primaryMonitor());
            assertEquals(-1, Files.mismatch(pair.primaryDisk, next.secondaryDisk));
            Guest.run(primary.uri(), "read -P 2 0 4k");
        } finally {
            held.destroyForcibly();
        }
    }

    @Test
    void a_lost_heartbeat_told_to_both_sides_ends_the_pair_as_qemu_does() {
        Lockstep secondary = pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        Guest.run(primary.uri(), "write -P 1 0 4k");
        pair.checkpoint();
        try (Monitor monitor = new Monitor(pair.primaryMonitor())) {
            assertFalse(
                    monitor.execute("query-xen-replication-status", "{}").get("error").asBoolean());
            assertTrue(monitor.execute("query-status", "{}").get("running").asBoolean());
            monitor.execute("xen-colo-do-checkpoint", "{}");
            assertNotNull(monitor.execute("query-block-exports", "{}").get(0));
            assertNotNull(monitor.execute("query-named-block-nodes", "{}").get(0));
        }
        primary.kill9();
        Pair.awaitState(pair.secondaryMonitor(), "degraded");
        try (Monitor monitor = new Monitor(pair.secondaryMonitor())) {
            Guest.run(secondary.uri(), "write -P 3 0 4k");
            long epoch = monitor.execute("colo-status", "{}").get("epoch").asLong();
            monitor.execute("xen-colo-do-checkpoint", "{}");
            assertEquals(epoch + 1, monitor.execute("colo-status", "{}").get("epoch").asLong());
            Guest.run(secondary.uri(), "read -P 1 0 4k");
            monitor.execute("x-colo-lost-heartbeat", "{}");
            assertTrue(monitor.sawEvent("COLO_EXIT"));
        }
        Pair.awaitState(pair.secondaryMonitor(), "degraded");
        assertEquals("primary", pair.secondaryStatus().get("role").asText());
        assertTrue(pair.failover("--force").expectOneSentence().contains("primary already"));
        assertEquals(0, secondary.terminate(), secondary::errors);
        Lockstep again = pair.startSecondary();
        assertEquals("primary", pair.secondaryStatus().get("role").asText());
        assertEquals("degraded", pair.secondaryStatus().get("state").asText());
        Guest.run(again.uri(), "read -P 1 0 4k", "write -P 4 0 4k", "flush");
        assertRefused("a primary itself", pair.primaryCommand("--sync", "full"));
    }

    @Test
    void a_primary_told_to_go_alone_tells_its_secondary() {
        pair.startSecondary();
        Lockstep primary = pair.startPrimary("--sync", "none");
        try (Monitor monitor = new Monitor(pair.primaryMonitor())) {
            monitor.execute("x-colo-lost-heartbeat", "{}");
        }
        Guest.run(primary.uri(), "write -P 1 0 4k", "flush");
        Pair.awaitState(pair.secondaryMonitor(), "stale");
        assertRefused(
                "cannot connect",
                "colo",
                "resync",
                "--secondary",
                "nbd://127.0.0.1:1/vm1",
                "--secondary-monitor",
                "unix:" + folder.resolve("nobody"),
                "--monitor",
                pair.primaryMonitor());
        String peer = pair.primaryStatus().get("peer").get("address").asText();
        assertEquals("127.0.0.1:" + pair.monitorLink.port(), peer);
        assertTrue(pair.failover().expectOneSentence().contains("went on without it"));
        assertEquals(0, primary.terminate(), primary::errors);
        assertRefused("its peer", pair.secondaryCommand("--disk", pair.primaryDisk.toString()));
    }

    private static void assertRefused(String reason, String... command) {
        Peer.Result result = Lockstep.run(command);
        String said = result.expectOneSentence();
        assertTrue(said.contains(reason), said);
        assertEquals("", result.output());
    }
}
