package dev.lockstep.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Other people's clients on our server. Each test runs over a Unix socket and over TCP.
class PeerTest {
    private static final int SIZE = 32 << 20;

    @TempDir private Path folder;
    private Path image = Path.of("");
    private FileDevice device = unopened();
    private NbdServer server = NbdServer.start(Exports.of());
    private final List<String> uris = new ArrayList<>();

    @BeforeEach
    void serve() throws IOException {
        image = folder.resolve("disk.raw");
        byte[] bytes = new byte[SIZE];
        new Random(1).nextBytes(bytes);
        Arrays.fill(bytes, SIZE / 2, SIZE, (byte) 0);
        Files.write(image, bytes);
        device = FileDevice.open(FileOptions.of(image));
        server.close();
        server = NbdServer.start(Exports.of(new Export("disk", "a test", new Gate(device))));
        Path socket = folder.resolve("nbd.sock");
        server.listen(new Address.Unix(socket));
        uris.add("nbd+unix:///disk?socket=" + socket);
        uris.add("nbd://" + server.listen(new Address.Tcp("127.0.0.1", 0)) + "/disk");
    }

    @AfterEach
    void stop() {
        server.close();
        device.close();
    }

    private static FileDevice unopened() {
        try {
            return FileDevice.inMemory("none", 4096);
        } catch (BlockException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void qemu_io_writes_zeroes_trims_and_reads_back() throws Exception {
        for (String uri : uris) {
            String output =
                    run(
                            "qemu-io",
                            "-f",
                            "raw",
                            "-c",
                            "write -P 5 0 3M",
                            "-c",
                            "write -P 7 1234 777",
                            "-c",
                            "write -f -P 9 20M 64k",
                            "-c",
                            "write -z 5M 1M",
                            "-c",
                            "write -z -u 6M 1M",
                            "-c",
                            "discard 8M 1M",
                            "-c",
                            "flush",
                            "-c",
                            "read -P 5 0 1234",
                            "-c",
                            "read -P 7 1234 777",
                            "-c",
                            "read -P 5 2011 2M",
                            "-c",
                            "read -P 0 5M 2M",
                            "-c",
                            "read -P 9 20M 64k",
                            uri);
            assertTrue(!output.contains("failed") && !output.contains("rror"), output);
        }
    }

    @Test
    void qemu_img_copies_in_both_directions_and_finds_no_difference() throws Exception {
        for (String uri : uris) {
            Path copy = folder.resolve("copy.raw");
            run("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, copy.toString());
            assertEquals(-1, Files.mismatch(image, copy));
            run("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, copy.toString());
            Path other = random("other.raw", 2);
            run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", other.toString(), uri);
            assertEquals(-1, Files.mismatch(other, image));
        }
    }

    @Test
    void qemu_img_sees_the_size_and_the_map() throws Exception {
        run("qemu-io", "-f", "raw", "-c", "discard 16M 16M", uris.getFirst());
        for (String uri : uris) {
            String info = run("qemu-img", "info", "-f", "raw", "--output=json", uri);
            assertTrue(info.contains("\"virtual-size\": " + SIZE), info);
            String map = run("qemu-img", "map", "-f", "raw", "--output=json", uri);
            assertTrue(
                    map.contains("\"start\": 16777216, \"length\": 16777216"),
                    "the hole begins in the middle: " + map);
            assertTrue(map.contains("\"zero\": true"), map);
        }
    }

    @Test
    void nbdinfo_lists_the_export_and_its_map() throws Exception {
        run("qemu-io", "-f", "raw", "-c", "discard 16M 16M", uris.getFirst());
        for (String uri : uris) {
            String json = run("nbdinfo", "--json", "--list", uri);
            for (String expected :
                    List.of(
                            "\"export-name\": \"disk\"",
                            "\"description\": \"a test\"",
                            "\"export-size\": " + SIZE,
                            "\"can_multi_conn\": true",
                            "\"base:allocation\"")) {
                assertTrue(json.contains(expected), expected + " is not in " + json);
            }
            String map = run("nbdinfo", "--map", uri).replaceAll(" +", " ");
            assertEquals(
                    " 0 16777216 0 data\n 16777216 16777216 3 hole,zero\n",
                    map.lines().map(line -> " " + line.strip() + "\n").reduce("", String::concat));
        }
    }

    @Test
    void nbdcopy_copies_both_ways_over_several_connections() throws Exception {
        for (String uri : uris) {
            Path copy = folder.resolve("copy.raw");
            run("nbdcopy", uri, copy.toString());
            assertEquals(-1, Files.mismatch(image, copy));
            Path other = random("other.raw", 3);
            run("nbdcopy", "--flush", other.toString(), uri);
            assertEquals(-1, Files.mismatch(other, image));
        }
    }

    @Test
    void fio_verifies_what_it_wrote() throws Exception {
        for (String uri : uris) {
            for (String size : List.of("4k", "512-300k")) {
                String output =
                        run(
                                "fio",
                                "--name=verify",
                                "--ioengine=nbd",
                                "--uri=" + uri,
                                "--rw=randwrite",
                                "--bsrange=" + (size.contains("-") ? size : size + "-" + size),
                                "--iodepth=16",
                                "--size=" + SIZE,
                                "--verify=crc32c",
                                "--verify_state_save=0",
                                "--verify_fatal=1",
                                "--do_verify=1");
                assertTrue(output.contains("err= 0"), output);
            }
        }
    }

    @Test
    void a_peer_that_asks_for_an_export_that_is_not_there_is_told_so() throws Exception {
        Process process =
                new ProcessBuilder("qemu-img", "info", uris.getFirst().replace("/disk?", "/nope?"))
                        .redirectErrorStream(true)
                        .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertNotEquals(0, process.waitFor());
        assertTrue(output.contains("there is no export called 'nope' here"), output);
    }

    private Path random(String name, int seed) throws IOException {
        byte[] bytes = new byte[SIZE];
        new Random(seed).nextBytes(bytes);
        return Files.write(folder.resolve(name), bytes);
    }

    private static String run(String... command) throws IOException, InterruptedException {
        Process process;
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true).start();
        } catch (IOException e) {
            throw new IOException(
                    command[0] + " is missing: apt-get install qemu-utils libnbd-bin fio", e);
        }
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), String.join(" ", command) + "\n" + output);
        return output;
    }
}
