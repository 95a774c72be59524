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
import java.util.stream.Collectors;

/// `lockstep info` and nbdinfo, side by side on the same servers.
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
    void it_tells_of_nbdkit_what_nbdinfo_tells() throws IOException {
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
            assertTrue(info(server.uri()).contains("\tcontent: qcow2 image\n"));
        }
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
        for (String what :
                List.of(
                        "cache",
                        "connect",
                        "df",
                        "fast-zero",
                        "flush",
                        "fua",
                        "multi-conn",
                        "read",
                        "structured-reply",
                        "trim",
                        "write",
                        "zero")) {
            assertEquals(
                    Peer.run("nbdinfo", "--can", what, uri).exit(),
                    Lockstep.run("info", "--can", what, uri).exit(),
                    what);
        }
        for (String what : List.of("read-only", "rotational", "tls")) {
            assertEquals(
                    Peer.run("nbdinfo", "--is", what, uri).exit(),
                    Lockstep.run("info", "--is", what, uri).exit(),
                    what);
        }
    }

    /// nbdinfo asks file(1) about the content, and its older releases know no extended headers.
    private static void compareJson(String uri, String... options) throws IOException {
        JsonNode ours = JSON.readTree(info(arguments(uri, options)));
        JsonNode theirs = JSON.readTree(nbdinfo(uri, options));
        for (JsonNode side : List.of(ours, theirs)) {
            if (side instanceof ObjectNode object) {
                object.remove("extended");
                object.path("exports").forEach(export -> ((ObjectNode) export).remove("content"));
            }
        }
        assertEquals(theirs, ours, String.join(" ", options));
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
                comparable(nbdinfo(uri, options)),
                comparable(info(arguments(uri, options))),
                String.join(" ", options));
    }

    private static String comparable(String text) {
        return text.lines()
                .filter(line -> !line.startsWith("\tcontent: "))
                .map(line -> line.replace("using extended packets", "using structured packets"))
                .collect(Collectors.joining("\n"));
    }

    private static String[] arguments(String uri, String... options) {
        List<String> arguments = new ArrayList<>(List.of(options));
        arguments.add(uri);
        return arguments.toArray(String[]::new);
    }

    private static String nbdinfo(String uri, String... options) {
        List<String> command = new ArrayList<>(List.of("nbdinfo"));
        command.addAll(List.of(arguments(uri, options)));
        return Peer.run(command.toArray(String[]::new)).expectSuccess().output();
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
