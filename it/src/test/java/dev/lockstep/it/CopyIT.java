package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// `lockstep copy` beside nbdcopy and qemu-img, between everything that it copies between.
class CopyIT {
    private static final int SIZE = 32 << 20;
    private static final int DATA = 1 << 20;

    @TempDir Path folder;
    private Path source;

    /// Two stretches of data in a file of holes.
    @BeforeEach
    void makeSource() throws IOException {
        source = folder.resolve("source.raw");
        byte[] data = new byte[DATA];
        new Random(1).nextBytes(data);
        try (RandomAccessFile file = new RandomAccessFile(source.toFile(), "rw")) {
            file.setLength(SIZE);
            file.seek(4 << 20);
            file.write(data);
            file.seek(SIZE - DATA);
            file.write(data);
        }
    }

    @Test
    void between_servers_and_files_every_byte_arrives_and_holes_stay_holes() throws IOException {
        Path middle = folder.resolve("middle.qcow2");
        Path result = folder.resolve("result.raw");
        Path nbdcopys = folder.resolve("nbdcopy.raw");
        Peer.run("qemu-img", "create", "-q", "-f", "qcow2", middle.toString(), "32M")
                .expectSuccess();
        try (ToolServer from = serve(source);
                ToolServer to = qemuNbd(middle)) {
            copy("--flush", "--verify", from.uri(), to.uri());
            copy("--verify", to.uri(), result.toString());
            Peer.run("nbdcopy", to.uri(), nbdcopys.toString()).expectSuccess();
        }
        assertSame(source, middle, "qcow2");
        assertArrayEquals(Files.readAllBytes(source), Files.readAllBytes(result));
        assertTrue(kibibytes(result) <= kibibytes(nbdcopys), "more space than nbdcopy takes");
        assertTrue(kibibytes(middle) < 3 * DATA / 1024, "the image holds zeroes as data");
    }

    @Test
    void a_longer_destination_keeps_what_lies_beyond_unless_it_is_a_file() throws IOException {
        Path longer = folder.resolve("longer.raw");
        byte[] before = new byte[SIZE + DATA];
        new Random(2).nextBytes(before);
        Files.write(longer, before);
        try (ToolServer to = serve(longer)) {
            copy(source.toString(), to.uri());
        }
        byte[] after = Files.readAllBytes(longer);
        System.arraycopy(Files.readAllBytes(source), 0, before, 0, SIZE);
        assertArrayEquals(before, after);
        copy(source.toString(), longer.toString());
        assertArrayEquals(Files.readAllBytes(source), Files.readAllBytes(longer));
    }

    @Test
    void pipes_carry_every_byte_in_order() throws IOException {
        Path result = folder.resolve("result.raw");
        try (ToolServer from = serve(source)) {
            shell("$lockstep copy '%s' - | $lockstep copy - %s".formatted(from.uri(), result));
        }
        assertArrayEquals(Files.readAllBytes(source), Files.readAllBytes(result));
        assertTrue(kibibytes(result) < 3 * DATA / 1024, "zeroes take space");
        try (ToolServer to = qemuNbdRaw(result)) {
            shell("head -c 5000 %s | $lockstep copy - '%s'".formatted(source, to.uri()));
        }
        assertEquals(SIZE, Files.size(result));
    }

    @Test
    void allocated_takes_space_everywhere() throws IOException {
        Path result = folder.resolve("result.raw");
        copy("--allocated", source.toString(), result.toString());
        assertArrayEquals(Files.readAllBytes(source), Files.readAllBytes(result));
        assertTrue(kibibytes(result) >= SIZE / 1024);
    }

    @Test
    void progress_is_told_to_programs_and_people() throws IOException {
        Path told = folder.resolve("told");
        Files.createFile(told);
        shell("$lockstep copy --progress=3 %s null: 3>>%s".formatted(source, told));
        List<String> lines = Files.readAllLines(told);
        assertEquals("100/100", lines.getLast());
        Peer.Result bar = Lockstep.run("copy", "-p", source.toString(), "null:").expectSuccess();
        assertTrue(bar.errors().contains("100% ["), bar.errors());
    }

    @Test
    void what_cannot_be_copied_is_one_sentence() {
        try (ToolServer small =
                ToolServer.start(folder, "", "nbdkit", "-f", "-U", "SOCKET", "memory", "1M")) {
            assertRefused("must not be smaller", source.toString(), small.uri());
        }
        assertRefused("same file", source.toString(), source.toString());
        assertRefused("No such file", folder.resolve("none").toString(), "null:");
        assertRefused("null: is a destination", "null:", source.toString());
        assertRefused("No space left", source.toString(), "/dev/full");
        assertRefused("power of 2", "--request-size=5000", source.toString(), "null:");
        assertRefused("reads both back", "--verify", source.toString(), "null:");
    }

    @Test
    void verify_finds_a_server_that_forgets() {
        try (ToolServer forgetful =
                ToolServer.start(folder, "", "nbdkit", "-f", "-U", "SOCKET", "null", "32M")) {
            assertRefused(
                    "differs from %s at offset %d".formatted(source, 4 << 20),
                    "--verify",
                    source.toString(),
                    forgetful.uri());
        }
    }

    @Test
    void a_server_that_refuses_some_requests_is_no_half_success() {
        try (ToolServer from =
                ToolServer.start(
                        folder,
                        "",
                        "nbdkit",
                        "-f",
                        "-U",
                        "SOCKET",
                        "--filter=error",
                        "file",
                        source.toString(),
                        "error-pread=ENOSPC",
                        "error-pread-rate=50%")) {
            // 128 reads, so that one fails.
            String result = folder.resolve("r").toString();
            assertRefused("is incomplete", "--no-extents", from.uri(), result);
        }
    }

    @Test
    void a_server_that_dies_midway_is_one_sentence() throws Exception {
        Path result = folder.resolve("result.raw");
        try (ToolServer from =
                ToolServer.start(
                        folder,
                        "",
                        "nbdkit",
                        "-f",
                        "-U",
                        "SOCKET",
                        "--filter=delay",
                        "file",
                        source.toString(),
                        "rdelay=1")) {
            Path said = folder.resolve("said");
            Process copying =
                    Lockstep.launch(
                            said,
                            "copy",
                            "--no-extents",
                            "--allocated",
                            "-C1",
                            "-R1",
                            from.uri(),
                            result.toString());
            await().atMost(Duration.ofMinutes(1)).until(() -> kibibytes(result) > 0);
            from.process().destroyForcibly();
            assertEquals(1, copying.waitFor());
            List<String> lines = Files.readAllLines(said);
            assertEquals(1, lines.size(), lines.toString());
            assertTrue(lines.getFirst().endsWith("result.raw is incomplete"), lines.getFirst());
        }
    }

    private ToolServer serve(Path disk) {
        return ToolServer.start(
                folder, "", "nbdkit", "-f", "-U", "SOCKET", "file", disk.toString());
    }

    private ToolServer qemuNbd(Path disk) {
        return qemuNbd("qcow2", disk);
    }

    private ToolServer qemuNbdRaw(Path disk) {
        return qemuNbd("raw", disk);
    }

    private ToolServer qemuNbd(String format, Path disk) {
        return ToolServer.start(
                folder,
                "",
                "qemu-nbd",
                "-f",
                format,
                "-t",
                "-e",
                "0",
                "--discard=unmap",
                "-k",
                "SOCKET",
                disk.toString());
    }

    private static void assertSame(Path raw, Path other, String format) {
        Peer.run("qemu-img", "compare", "-f", "raw", "-F", format, raw + "", other + "")
                .expectSuccess();
    }

    private static long kibibytes(Path file) {
        if (!Files.exists(file)) {
            return 0;
        }
        String said = Peer.run("du", "-k", file.toString()).expectSuccess().output();
        return Long.parseLong(said.substring(0, said.indexOf('\t')));
    }

    private static void copy(String... arguments) {
        Lockstep.succeed(command(arguments));
    }

    private static void assertRefused(String words, String... arguments) {
        String said = Lockstep.run(command(arguments)).expectOneSentence();
        assertTrue(said.contains(words), said);
    }

    private static void shell(String script) {
        ProcessBuilder builder = new ProcessBuilder("bash", "-euo", "pipefail", "-c", script);
        builder.environment().put("lockstep", Lockstep.ROOT.resolve("lockstep").toString());
        builder.environment().put("LOCKSTEP_NO_BUILD", "1");
        Peer.run(builder, Duration.ofMinutes(1)).expectSuccess();
    }

    private static String[] command(String... arguments) {
        List<String> command = new ArrayList<>(List.of("copy"));
        command.addAll(List.of(arguments));
        return command.toArray(String[]::new);
    }
}
