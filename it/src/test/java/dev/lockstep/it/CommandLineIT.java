package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/// The program as a shell sees it: exit statuses, what goes to which stream.
class CommandLineIT {
    private static final int SIZE = 1 << 20;

    @TempDir Path folder;
    private Path disk;

    @BeforeEach
    void makeDisk() throws IOException {
        disk = folder.resolve("d.raw");
        try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(SIZE);
        }
    }

    @Test
    void help_and_version_go_to_standard_output() {
        for (String[] command :
                new String[][] {{"--help"}, {"nbd", "--help"}, {"colo", "failover", "-h"}, {}}) {
            Peer.Result help = Lockstep.run(command).expectSuccess();
            assertTrue(help.output().startsWith("Usage: lockstep"), help.output());
            assertEquals("", help.errors());
        }
        assertTrue(Lockstep.succeed("colo", "status", "--version").startsWith("lockstep "));
    }

    @Test
    void a_wrong_command_line_is_one_sentence_that_points_at_the_help() {
        assertRefused("unknown option '--persistant'", "nbd", "--persistant", "x");
        assertRefused("did you mean", "nbd", "--persistant", "x");
        assertRefused("lockstep nbd --help", "nbd", "--persistant", "x");
        assertRefused("FILE", "nbd");
        assertRefused("unknown command 'server'", "server");
        assertRefused("say what to do", "colo");
        assertRefused("--monitor", "colo", "status");
        assertRefused("unix:PATH", "colo", "status", "--monitor", "nonsense");
        assertRefused("'vmdk' is not known", "nbd", "-f", "vmdk", disk.toString());
        assertRefused("--cache", "nbd", "--cache=fast", disk.toString());
    }

    @Test
    void what_cannot_be_opened_or_reached_is_one_sentence() throws IOException {
        assertRefused("No such file", "nbd", "-f", "raw", folder.resolve("none").toString());
        assertRefused("directory", "nbd", "-f", "raw", folder.toString());
        assertRefused(
                "cannot connect to unix:",
                "colo",
                "status",
                "--monitor",
                "unix:" + folder.resolve("none"));
        Path image = folder.resolve("image");
        Peer.run("qemu-img", "create", "-f", "vmdk", image.toString(), "1M").expectSuccess();
        assertRefused("is a vmdk image", "nbd", image.toString());
    }

    @Test
    void a_monitor_that_others_reach_needs_to_be_called_insecure() {
        assertRefused(
                "--insecure",
                "colo",
                "secondary",
                "--name",
                "vm1",
                "--disk",
                disk.toString(),
                "--buffers",
                "ram",
                "--listen",
                "127.0.0.1:0",
                "--export",
                "unix:" + folder.resolve("s"),
                "--monitor",
                "0.0.0.0:0");
    }

    @Test
    void nbd_prints_one_line_and_ends_with_its_last_client() {
        try (Lockstep server =
                Lockstep.start("nbd", "-f", "raw", "-k", socket(), disk.toString())) {
            Guest.run(server.uri(), "write -P 7 0 4k", "flush");
            assertEquals(0, server.await(), server::errors);
            assertEquals(List.of(), server.furtherOutput());
            assertEquals("", server.errors());
        }
        Guest.run(disk.toString(), "read -P 7 0 4k");
    }

    @Test
    void a_persistent_nbd_server_ends_with_sigterm_and_status_0() throws IOException {
        Path pidFile = folder.resolve("pid");
        try (Lockstep server =
                Lockstep.start(
                        "nbd",
                        "-f",
                        "raw",
                        "-t",
                        "-x",
                        "data",
                        "-b",
                        "127.0.0.1",
                        "-p",
                        "0",
                        "--pid-file",
                        pidFile.toString(),
                        disk.toString())) {
            assertTrue(server.uri().matches("nbd://127\\.0\\.0\\.1:\\d+/data"), server.uri());
            assertEquals(server.pid(), Long.parseLong(Files.readString(pidFile).strip()));
            Guest.run(server.uri(), "write -P 1 0 4k");
            Guest.run(server.uri(), "read -P 1 0 4k");
            assertTrue(server.isAlive());
            assertEquals(0, server.terminate(), server::errors);
            assertEquals("", server.errors());
        }
        assertFalse(Files.exists(pidFile));
    }

    @Test
    void a_guessed_format_is_warned_of_and_the_first_sector_guarded() throws IOException {
        Path mark = Files.write(folder.resolve("mark"), new byte[] {'Q', 'F', 'I', (byte) 0xfb});
        try (Lockstep server = Lockstep.start("nbd", "-t", "-k", socket(), disk.toString())) {
            assertTrue(server.errors().contains("probing guessed raw"), server.errors());
            Guest.run(server.uri(), "write -P 1 0 4k");
            String said = Guest.runFailing(server.uri(), "write -s %s 0 512".formatted(mark));
            assertTrue(said.contains("write failed"), said);
            Guest.run(server.uri(), "read -P 1 0 4k");
        }
    }

    @Test
    void it_ends_with_status_0_by_sigint_too() {
        try (Lockstep server =
                Lockstep.start("nbd", "-f", "raw", "-t", "-k", socket(), disk.toString())) {
            server.signal("INT");
            assertEquals(0, server.await(), server::errors);
            await().atMost(Duration.ofSeconds(5))
                    .until(() -> !Files.exists(folder.resolve("sock")));
        }
    }

    private String socket() {
        return folder.resolve("sock").toString();
    }

    private static void assertRefused(String reason, String... command) {
        Peer.Result result = Lockstep.run(command);
        String said = result.expectOneSentence();
        assertTrue(said.contains(reason), said);
        assertEquals("", result.output());
    }
}
