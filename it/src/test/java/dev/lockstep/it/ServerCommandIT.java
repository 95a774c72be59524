package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// `[ COMMAND ]`: servers that our tools start and end, as nbdinfo and nbdcopy do.
class ServerCommandIT {
    private static final String LOCKSTEP = Lockstep.ROOT.resolve("lockstep").toString();
    private static final int SIZE = 3 << 20;

    @TempDir Path folder;
    private Path disk;

    @BeforeEach
    void makeDisk() throws IOException {
        byte[] bytes = new byte[SIZE];
        new Random(1).nextBytes(bytes);
        disk = Files.write(folder.resolve("d.raw"), bytes);
    }

    private static Peer.Result lockstep(String... arguments) {
        List<String> command = new ArrayList<>(List.of(LOCKSTEP));
        command.addAll(List.of(arguments));
        return Peer.run(command.toArray(String[]::new));
    }

    @Test
    void info_starts_nbdkit_and_tells_what_nbdinfo_tells() {
        String ours = lockstep("info", "[", "nbdkit", "memory", "1M", "]").expectSuccess().output();
        String theirs = Peer.run("nbdinfo", "[", "nbdkit", "memory", "1M", "]").output();
        assertEquals(common(theirs), common(ours));
    }

    /// Without what nbdinfo 1.14 does not tell, or tells only where there is the program `file`.
    private static String common(String told) {
        return told.replaceAll("\t(content|can_block_status_payload|uri): .*\n", "");
    }

    @Test
    void a_server_that_takes_one_client_tells_everything_on_one_connection() throws IOException {
        Path image = folder.resolve("d.qcow2");
        Peer.run("qemu-img", "create", "-q", "-f", "qcow2", image.toString(), "1M").expectSuccess();
        String told =
                lockstep("info", "[", "qemu-nbd", "-r", "-f", "raw", image.toString(), "]")
                        .expectSuccess()
                        .output();
        assertTrue(told.matches("(?s).*content: (QEMU QCOW|qcow2) .*"), told);
        assertEquals(
                "1048576\n",
                lockstep("info", "--size", "[", "qemu-nbd", "-r", "-f", "qcow2", "" + image, "]")
                        .expectSuccess()
                        .output());
    }

    @Test
    void copy_reads_from_one_server_and_writes_to_another() throws IOException {
        Path copy = folder.resolve("copy.raw");
        lockstep("copy", "[", "nbdkit", "file", "" + disk, "]", "" + copy).expectSuccess();
        assertEquals(-1, Files.mismatch(disk, copy));
        Path second = Files.write(folder.resolve("second.raw"), new byte[SIZE]);
        lockstep(
                        "copy",
                        "--verify",
                        "[",
                        "qemu-nbd",
                        "-r",
                        "-f",
                        "raw",
                        "" + disk,
                        "]",
                        "[",
                        LOCKSTEP,
                        "nbd",
                        "-f",
                        "raw",
                        "" + second,
                        "]")
                .expectSuccess();
        assertEquals(-1, Files.mismatch(disk, second));
    }

    @Test
    void a_command_that_is_not_there_or_serves_nothing_is_told_apart() {
        assertTrue(
                lockstep("info", "[", "no-such-server", "]")
                        .expectOneSentence()
                        .contains("there is no command 'no-such-server'"));
        Peer.Result ended = lockstep("info", "[", "sh", "-c", "echo not today >&2; exit 3", "]");
        assertEquals(1, ended.exit());
        assertTrue(ended.errors().startsWith("not today\n"), ended.errors());
        assertTrue(ended.errors().contains("ended instead of serving"), ended.errors());
        assertTrue(
                lockstep("info", "[", "nbdkit", "null")
                        .expectOneSentence()
                        .contains("[ COMMAND ARGUMENT... ]"));
    }

    @Test
    void the_server_ends_with_its_client() throws Exception {
        Path pid = folder.resolve("pid");
        Process client =
                Peer.start(
                        folder.resolve("log"),
                        LOCKSTEP,
                        "copy",
                        "[",
                        "nbdkit",
                        "-f",
                        "-P",
                        pid.toString(),
                        "--filter=delay",
                        "pattern",
                        "1G",
                        "delay-read=1",
                        "]",
                        "null:");
        await().atMost(Duration.ofSeconds(60)).until(() -> Files.exists(pid));
        await().until(() -> !Files.readString(pid).isBlank());
        ProcessHandle server =
                ProcessHandle.of(Long.parseLong(Files.readString(pid).strip())).orElseThrow();
        client.destroy();
        client.waitFor();
        await().atMost(Duration.ofSeconds(30)).until(() -> !server.isAlive());
    }
}
