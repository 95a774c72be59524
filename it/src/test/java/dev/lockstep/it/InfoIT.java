package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// `lockstep info` and nbdinfo 1.22, side by side on the same servers.
class InfoIT {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir Path folder;

    @Test
    void it_tells_of_our_server_what_nbdinfo_tells() throws IOException {
        Path disk = image("raw");
        try (Lockstep server =
                Lockstep.start(
                        "nbd",
                        "-f",
                        "raw",
                        "-t",
                        "-e",
                        "0",
                        "-x",
                        "disk",
                        "-D",
                        "some words",
                        "-k",
                        folder.resolve("s").toString(),
                        disk.toString())) {
            compare(server.uri(), "base:allocation");
        }
    }

    @Test
    void it_tells_of_qemu_nbd_what_nbdinfo_tells() throws IOException {
        Path disk = image("qcow2");
        Peer.run("qemu-img", "bitmap", "--add", disk.toString(), "b").expectSuccess();
        try (ToolServer server =
                ToolServer.start(
                        folder,
                        "x",
                        "qemu-nbd",
                        "-f",
                        "qcow2",
                        "-t",
                        "-e",
                        "0",
                        "-A",
                        "-B",
                        "b",
                        "-x",
                        "x",
                        "-D",
                        "some \"words\"",
                        "-k",
                        "SOCKET",
                        disk.toString())) {
            compare(
                    server.uri(),
                    "base:allocation",
                    "qemu:allocation-depth",
                    "qemu:dirty-bitmap:b");
            compareAnswers(server.uri());
        }
    }

    @Test
    void it_tells_of_an_old_read_only_server_what_nbdinfo_tells() throws IOException {
        try (Lockstep server =
                Lockstep.start(
                        "nbd",
                        "-f",
                        "raw",
                        "-rt",
                        "-e0",
                        "--degrade",
                        "no-structured",
                        "-k",
                        folder.resolve("s").toString(),
                        image("raw").toString())) {
            compareText(server.uri());
            compareAnswers(server.uri());
        }
    }

    @Test
    void it_tells_of_nbdkit_what_nbdinfo_tells() throws IOException {
        String[] empty = {"--", "[", "nbdkit", "memory", "0", "]"};
        assertEquals(
                Debian13.run("nbdinfo", empty).expectSuccess().output(), info(empty), "no bytes");
        try (ToolServer server =
                ToolServer.start(folder, "", "nbdkit", "-f", "-U", "SOCKET", "memory", "1025")) {
            compare(server.uri(), "base:allocation");
        }
    }

    @Test
    void what_is_wrong_is_one_sentence() {
        try (ToolServer server =
                ToolServer.start(folder, "", "nbdkit", "-f", "-U", "SOCKET", "memory", "1M")) {
            String uri = server.uri();
            assertRefused("no metadata context 'a:b'", "--map=a:b", uri);
            assertRefused("know nothing of 'fly'", "--can", "fly", uri);
            assertRefused("one of --list, --size", "--size", "--list", uri);
            assertRefused("--map --totals", "--totals", uri);
        }
        assertRefused("there is no socket", "nbd+unix:///?socket=/nonexistent");
        assertRefused("it does not begin with nbd://", "disk.raw");
    }

    @Test
    void a_format_is_known_by_its_first_bytes() throws IOException {
        Path disk = image("qcow2");
        try (ToolServer server =
                ToolServer.start(
                        folder, "", "nbdkit", "-f", "-U", "SOCKET", "file", disk.toString())) {
            compareText(server.uri());
            assertTrue(info(server.uri()).contains("\tcontent: QEMU QCOW"));
        }
    }

    @Test
    void a_map_without_end_is_told_until_nobody_reads_it() {
        String told =
                Peer.run(
                                "/bin/bash",
                                "-c",
                                "LOCKSTEP_NO_BUILD=1 \"$1\" info --map -- [ nbdkit sparse-random 1T ] | head -2",
                                "bash",
                                Lockstep.ROOT.resolve("lockstep").toString())
                        .expectSuccess()
                        .output();
        assertEquals(2, told.lines().count(), told);
    }

    /// An image with data, a hole, and data at the end.
    private Path image(String format) {
        Path disk = folder.resolve("disk." + format);
        Peer.run("qemu-img", "create", "-q", "-f", format, disk.toString(), "3M").expectSuccess();
        Peer.run(
                        "qemu-io",
                        "-f",
                        format,
                        "-c",
                        "write -P 1 0 64k",
                        "-c",
                        "write -P 2 2M 1M",
                        disk.toString())
                .expectSuccess();
        return disk;
    }

    private static void compare(String uri, String... contexts) throws IOException {
        compareJson(uri, "--json");
        compareJson(uri, "--json", "--list");
        compareText(uri);
        compareText(uri, "--list");
        compareText(uri, "--size");
        compareText(uri, "--uri");
        for (String context : contexts) {
            String map = "--map=" + context;
            compareText(uri, map);
            compareText(uri, map, "--totals");
            compareJson(uri, map, "--json");
            compareTotals(uri, map);
        }
        compareText(uri, "--map");
    }

    private static void compareAnswers(String uri) {
        for (String asked :
                List.of(
                        "--can cache",
                        "--can connect",
                        "--can df",
                        "--can fast-zero",
                        "--can flush",
                        "--can fua",
                        "--can MultiConn",
                        "--can read",
                        "--has structured_reply",
                        "--have sr",
                        "--has eh",
                        "--has block-status-payload",
                        "--can trim",
                        "--can write",
                        "--cannot zero",
                        "--is read-only",
                        "--isnt readonly",
                        "--is rotational",
                        "--is tls")) {
            String[] words = asked.split(" ", -1);
            assertEquals(
                    Debian13.run("nbdinfo", words[0], words[1], uri).exit(),
                    Lockstep.run("info", words[0], words[1], uri).exit(),
                    asked);
        }
    }

    private static void compareJson(String uri, String... options) throws IOException {
        assertEquals(
                JSON.readTree(nbdinfo(uri, options)),
                JSON.readTree(info(arguments(uri, options))),
                String.join(" ", options));
    }

    /// nbdinfo rounds the percentages.
    private static void compareTotals(String uri, String map) throws IOException {
        JsonNode ours = JSON.readTree(info(map, "--totals", "--json", uri));
        JsonNode theirs = JSON.readTree(nbdinfo(uri, map, "--totals", "--json"));
        assertEquals(theirs.size(), ours.size());
        for (int i = 0; i < ours.size(); i++) {
            ObjectNode our = (ObjectNode) ours.get(i);
            ObjectNode their = (ObjectNode) theirs.get(i);
            assertEquals(
                    their.remove("percent").asDouble(), our.remove("percent").asDouble(), 0.001);
            assertEquals(their, our);
        }
    }

    private static void compareText(String uri, String... options) {
        assertEquals(
                nbdinfo(uri, options), info(arguments(uri, options)), String.join(" ", options));
    }

    private static String[] arguments(String uri, String... options) {
        List<String> arguments = new ArrayList<>(List.of(options));
        arguments.add(uri);
        return arguments.toArray(String[]::new);
    }

    private static String nbdinfo(String uri, String... options) {
        return Debian13.run("nbdinfo", arguments(uri, options)).expectSuccess().output();
    }

    private static String info(String... arguments) {
        List<String> command = new ArrayList<>(List.of("info"));
        command.addAll(List.of(arguments));
        return Lockstep.succeed(command.toArray(String[]::new));
    }

    private static void assertRefused(String words, String... arguments) {
        List<String> command = new ArrayList<>(List.of("info"));
        command.addAll(List.of(arguments));
        String said = Lockstep.run(command.toArray(String[]::new)).expectOneSentence();
        assertTrue(said.contains(words), said);
    }
}
