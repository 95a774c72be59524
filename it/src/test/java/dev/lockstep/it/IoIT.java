package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/// `lockstep io` beside qemu-io: the same scripts on equal disks print the same, but for times and
/// rates, end with the same status, and leave equal disks.
class IoIT {
    private static final int SIZE = 1 << 20;
    private static final int RANDOM_COMMANDS = 60;

    @TempDir Path folder;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "write -P 5 0 64k; read -P 6 0 64k; read -P 5 0 64k; length",
                "read 0 2M; length; read 3M 0; read 1M 0; readv 2M 512; writev 2M 512; write 2M 1",
                "read -v 0 40; read -v 65530 20; read -vC 0 16; read -qv 0 16; readv -v 1 5 6",
                "read -C 0 512; write -C -P 3 512 512; discard -C 0 512; discard -q 0 512",
                "read abc 512; read 0 -1; read 0; read; foo; read 0 abc; read 8E 1; read 0 1.5k",
                "read -P 300 0 512; read -P abc 0 512; read -P0x05 0 512; read -qP 0101 0 512",
                "read -l 8 0 512; read -s 2 -l 8 0 512; read -P 1 -s 2 -l 8 0 512",
                "read -P 5 -s 500 -l 100 0 512; read -P 5 -s 2 0 512; read -P 5 -l 2 0 512",
                "write -z 0 512; write -zu 512 512; write -u 0 512; write -z -P 5 0 512; write -n 0 1",
                "write -f 0 512; write -s /bin/ls 0 512; read -v 0 512; write -s /nothing 0 512",
                "write -b 0 512; write -p 0 512; write -c 0 64k; write 0 1 2; write 0 3G",
                "discard 0 64k; read -P 0 0 64k; discard 0 3G; discard 2M 512; discard 0 1 2",
                "alloc 0 64k; alloc 0; map; alloc 3 4; alloc 0 2M; alloc 3M; alloc; alloc x",
                "length; truncate 2M; length; info; truncate 1M; length; truncate x; truncate",
                "flush; sleep 10; aio_flush; sleep abc; sleep 1 2; f; l; i; close; read 0 1",
                "aio_read 0 64k; aio_flush; aio_write -P 7 0 64k; aio_flush; aio_read -P 8 0 64k",
                "aio_write -z 0 512 512; aio_write -u 0 1; aio_read 0; aio_write 2M 512; aio_flush",
                "readv -P 5 0 512 512; writev -P 1 0 512 1k; readv 0 512 abc; readv 0; readv 0 3G",
                "reopen -r; read 0 512; reopen; reopen -c unsafe; reopen foo; reopen -w; write 0 1",
                "read 0 0; write 0 0; discard 0 0; read 0 2147483136; read 0 1T; read -z 0 1",
                "q; read 0 512",
                "open x; help foo; help a b; length 1; map 1",
                "read 0x10 010"
            })
    void scripts_print_and_do_the_same(String script) throws IOException {
        compare("raw", List.of(script.split("; ")), true);
    }

    @Test
    void random_scripts_do_the_same_to_every_format() throws IOException {
        for (String format : List.of("raw", "qcow2", "qed")) {
            long seed = System.nanoTime();
            System.out.println("IoIT seed " + seed + " for " + format);
            Random random = new Random(seed);
            List<String> commands = new ArrayList<>();
            for (int i = 0; i < RANDOM_COMMANDS; i++) {
                commands.add(randomCommand(random));
            }
            compare(format, commands, format.equals("raw"));
        }
    }

    private static String randomCommand(Random random) {
        int offset = random.nextInt(SIZE);
        int length = 1 + random.nextInt(1 << random.nextInt(1, 18));
        return switch (random.nextInt(8)) {
            case 0, 1, 2 -> "write -P %d %d %d".formatted(random.nextInt(256), offset, length);
            case 3 -> "write -z %d %d".formatted(offset, length);
            case 4 -> "write -zu %d %d".formatted(offset, length);
            case 5 -> "discard %d %d".formatted(offset & -65536, 65536);
            case 6 -> "writev -P %d %d %d 7".formatted(random.nextInt(256), offset, length);
            default -> "read -P %d %d %d".formatted(random.nextInt(256), offset, length);
        };
    }

    @Test
    void what_is_read_is_copied_and_told_as_by_qemu_io() throws IOException {
        makeDisks("raw");
        for (String top : List.of("theirs.qcow2", "ours.qcow2")) {
            Peer.run(
                            "qemu-img",
                            "create",
                            "-q",
                            "-f",
                            "qcow2",
                            "-b",
                            theirs(),
                            "-F",
                            "raw",
                            folder.resolve(top).toString())
                    .expectSuccess();
        }
        List<String> commands =
                List.of("map", "read -P 5 0 512", "read 192k 64k", "map", "alloc 0 1M", "info");
        assertSame(
                run("qemu-io", commands, "-C", theirs() + ".qcow2"),
                run("", commands, "-C", ours() + ".qcow2"));
    }

    @Test
    void requests_stop_at_breakpoints_as_with_qemu_io() throws IOException {
        List<String> commands =
                List.of(
                        "break write_aio A",
                        "aio_write -P 7 64k 64k",
                        "wait_break A",
                        "read -P 5 0 64k",
                        "resume A",
                        "aio_flush",
                        "resume B",
                        "break nothing A",
                        "break",
                        "break l2_update C",
                        "remove_break C",
                        "remove_break C",
                        "write -P 8 0 512",
                        "alloc 0 256k");
        makeDisks("qcow2");
        assertSame(
                run("qemu-io", commands, "blkdebug::" + theirs()),
                run("", commands, "blkdebug::" + ours()));
        Peer.run("qemu-img", "compare", theirs(), ours()).expectSuccess();
    }

    @Test
    void lines_come_from_standard_input_too() throws IOException {
        Path lines = folder.resolve("lines");
        for (String text :
                List.of(
                        "read 0 512\nfoo\n\nlength\n",
                        "quit\nlength\n",
                        "write -P 3 0 1k\nread -P 4 0 512")) {
            Files.writeString(lines, text);
            makeDisks("raw");
            assertSame(
                    Peer.run(
                            new ProcessBuilder("qemu-io", "-f", "raw", theirs())
                                    .redirectInput(lines.toFile()),
                            Lockstep.RUN_LIMIT),
                    Lockstep.run(lines, "io", "-f", "raw", ours()));
        }
    }

    @Test
    void reads_and_writes_an_nbd_server() {
        try (ToolServer server =
                ToolServer.start(folder, "", "nbdkit", "-f", "-U", "SOCKET", "memory", "1M")) {
            assertSame(
                    run(
                            "qemu-io",
                            List.of("write -P 9 1000 5000", "read -P 9 1000 5000"),
                            "-f",
                            "raw",
                            server.uri()),
                    run(
                            "",
                            List.of("write -P 9 1000 5000", "read -P 9 1000 5000"),
                            "-f",
                            "raw",
                            server.uri()));
        }
    }

    @Test
    void a_guessed_format_is_warned_of_and_a_snapshot_leaves_the_disk_alone() throws IOException {
        makeDisks("raw");
        byte[] before = Files.readAllBytes(Path.of(ours()));
        Peer.Result result =
                Lockstep.run("io", "-s", "-c", "write -P 9 4k 4k", "-c", "read -P 9 4k 4k", ours());
        assertEquals(0, result.exit(), result.output() + result.errors());
        assertArrayEquals(before, Files.readAllBytes(Path.of(ours())));
        Peer.Result guessed = Lockstep.run("io", "-c", "length", ours()).expectSuccess();
        assertTrue(guessed.errors().contains("probing guessed raw"), guessed.errors());
    }

    private String theirs() {
        return folder.resolve("theirs").toString();
    }

    private String ours() {
        return folder.resolve("ours").toString();
    }

    /// Two equal disks, the same pattern in their first 64 KiB.
    private void makeDisks(String format) throws IOException {
        for (String path : List.of(theirs(), ours())) {
            Files.deleteIfExists(Path.of(path));
            if (format.equals("raw")) {
                byte[] pattern = new byte[64 << 10];
                Arrays.fill(pattern, (byte) 5);
                try (RandomAccessFile file = new RandomAccessFile(path, "rw")) {
                    file.write(pattern);
                    file.setLength(SIZE);
                }
            } else {
                Peer.run("qemu-img", "create", "-q", "-f", format, path, "1M").expectSuccess();
                Peer.run("qemu-io", "-f", format, "-c", "write -P 5 0 64k", path).expectSuccess();
            }
        }
    }

    private void compare(String format, List<String> commands, boolean sameBytes)
            throws IOException {
        makeDisks(format);
        assertSame(
                run("qemu-io", commands, "-f", format, theirs()),
                run("", commands, "-f", format, ours()));
        if (sameBytes) {
            assertArrayEquals(
                    Files.readAllBytes(Path.of(theirs())), Files.readAllBytes(Path.of(ours())));
        } else {
            Peer.run("qemu-img", "compare", theirs(), ours()).expectSuccess();
            Peer.run("qemu-img", "check", ours()).expectSuccess();
        }
    }

    /// Runs qemu-io or, without a program, ours.
    private static Peer.Result run(String program, List<String> commands, String... rest) {
        List<String> arguments = new ArrayList<>();
        commands.forEach(command -> arguments.addAll(List.of("-c", command)));
        arguments.addAll(List.of(rest));
        return program.isEmpty()
                ? Lockstep.run(
                        Stream.concat(Stream.of("io"), arguments.stream()).toArray(String[]::new))
                : Peer.run(
                        Stream.concat(Stream.of(program), arguments.stream())
                                .toArray(String[]::new));
    }

    private static void assertSame(Peer.Result theirs, Peer.Result ours) {
        assertEquals(timeless(theirs.output()), timeless(ours.output()), ours.errors());
        assertEquals(theirs.exit(), ours.exit(), ours.errors());
        assertEquals(theirs.errors().isEmpty(), ours.errors().isEmpty(), ours.errors());
    }

    /// What is printed without times and rates.
    private static String timeless(String output) {
        return output.replaceAll(" ops; .*", " ops")
                .replaceAll(",\\d+:\\d\\d:\\d\\d\\.\\d\\d,.*", "");
    }
}
