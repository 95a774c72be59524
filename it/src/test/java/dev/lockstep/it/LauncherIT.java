package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/// The shell script that everybody meets first.
class LauncherIT {
    private static final Path LAUNCHER = Lockstep.ROOT.resolve("lockstep");
    private static final String BUILDS = "builds.log";

    @TempDir Path folder;

    @Test
    void it_runs_from_any_folder_and_through_links() throws IOException {
        Path link = Files.createSymbolicLink(folder.resolve("link"), LAUNCHER);
        Path second = Files.createSymbolicLink(folder.resolve("second"), Path.of("link"));
        assertRuns(run(folder, Map.of(), link.toString(), "--version"));
        assertRuns(run(folder, Map.of(), "./" + second.getFileName(), "--version"));
        Files.delete(second);
        Files.delete(link);
    }

    @Test
    void it_runs_from_a_path_with_spaces() throws IOException {
        Path home = Files.createDirectory(folder.resolve("a path with spaces"));
        Path copy = Files.copy(LAUNCHER, home.resolve("lockstep"));
        Path program =
                Files.createSymbolicLink(home.resolve("colo"), Lockstep.ROOT.resolve("colo"));
        assertRuns(run(home, Map.of(), copy.toString(), "--version"));
        Files.delete(program);
    }

    @Test
    void a_wrong_java_home_is_passed_over() {
        Map<String, String> nowhere = Map.of("JAVA_HOME", "/nonexistent");
        assertRuns(run(folder, nowhere, LAUNCHER.toString(), "--version"));
        Map<String, String> file = Map.of("JAVA_HOME", "/etc/passwd");
        assertRuns(run(folder, file, LAUNCHER.toString(), "--version"));
    }

    /// The JVM's log of the classes it loads tells when the command line is about to be read, and
    /// interpreting alone makes that last.
    @Test
    void a_server_that_is_asked_to_end_while_it_reads_its_command_line_exits_0() throws Exception {
        Path output = folder.resolve("output");
        Path classes = folder.resolve("classes.log");
        String socket = folder.resolve("socket").toString();
        Path disk = Files.write(folder.resolve("disk.raw"), new byte[512]);
        Process server =
                Lockstep.launch(
                        output,
                        Map.of("LOCKSTEP_JAVA_OPTS", "-Xint -Xlog:class+load:file=" + classes),
                        "nbd",
                        "-f",
                        "raw",
                        "-t",
                        "-k",
                        socket,
                        disk.toString());
        try {
            await().atMost(Duration.ofSeconds(30))
                    .pollInterval(Duration.ofMillis(5))
                    .until(() -> Files.exists(classes) && reads(classes));
            server.destroy();
            // Whether it came to be ready is a race: the JVM does not act on a signal at once.
            assertEquals(0, server.waitFor());
        } finally {
            server.destroyForcibly();
        }
    }

    /// The annotations of its options become proxies, which are no part of the cache of classes:
    /// what is, may be loaded before the program begins.
    private static boolean reads(Path classes) throws IOException {
        return Files.readString(classes).contains("jdk.proxy");
    }

    @Test
    void without_a_jdk_one_sentence_says_what_to_install() throws IOException {
        String script = Files.readString(LAUNCHER).replace("needed=25", "needed=250");
        Path copy = Files.writeString(folder.resolve("lockstep"), script);
        String said = run(folder, Map.of(), "bash", copy.toString(), "demo").expectOneSentence();
        assertTrue(said.startsWith("lockstep: no JDK 250 or newer was found"), said);
        assertTrue(said.contains("apt-get install openjdk-250-jdk-headless"), said);
    }

    @Test
    void two_first_uses_at_once_build_once() throws IOException, InterruptedException {
        Path home = sourceTree();
        Process one = start(home);
        Process two = start(home);
        await().atMost(Duration.ofSeconds(30)).until(() -> Files.exists(home.resolve(BUILDS)));
        // The build goes on once its pipe is written to.
        Files.writeString(home.resolve("go"), "go\n");
        assertEquals(0, one.waitFor());
        assertEquals(0, two.waitFor());
        assertEquals(1, Files.readAllLines(home.resolve(BUILDS)).size());
    }

    @Test
    void it_builds_again_when_a_source_is_newer_than_the_build()
            throws IOException, InterruptedException {
        Path home = sourceTree();
        Path stamp = home.resolve("colo/target/built.stamp");
        Files.createDirectories(stamp.getParent());
        Files.createFile(stamp);
        Instant now = Instant.now();
        Files.setLastModifiedTime(stamp, FileTime.from(now.plusSeconds(60)));
        assertEquals(0, start(home).waitFor());
        assertEquals(false, Files.exists(home.resolve(BUILDS)));
        Path source = Files.createFile(home.resolve("block-core/src/main/New.java"));
        Files.setLastModifiedTime(source, FileTime.from(now.plusSeconds(120)));
        Process building = start(home);
        Files.writeString(home.resolve("go"), "go\n");
        assertEquals(0, building.waitFor());
        assertEquals(1, Files.readAllLines(home.resolve(BUILDS)).size());
    }

    /// A source tree without sources, where Maven is a script that writes its log, waits to be told
    /// to go on, and leaves the stamp; and where the JVM does nothing.
    private Path sourceTree() throws IOException {
        Path home = Files.createDirectory(folder.resolve("tree"));
        for (String module : List.of("block-core", "nbd-server", "colo")) {
            Files.createDirectories(home.resolve(module).resolve("src/main"));
            Files.createFile(home.resolve(module).resolve("pom.xml"));
        }
        Files.createFile(home.resolve("pom.xml"));
        Files.copy(LAUNCHER, home.resolve("lockstep"));
        script(
                home.resolve("bin/mvn"),
                "echo build >> "
                        + BUILDS
                        + "; cat go > /dev/null; mkdir -p colo/target; touch colo/target/built.stamp");
        Path jdk = home.resolve("jdk");
        script(jdk.resolve("bin/java"), "exit 0");
        Files.writeString(jdk.resolve("release"), "JAVA_VERSION=\"25.0.1\"\n");
        Peer.run("mkfifo", home.resolve("go").toString()).expectSuccess();
        return home;
    }

    private static void script(Path file, String text) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, "#!/bin/sh\n" + text + "\n");
        Peer.run("chmod", "+x", file.toString()).expectSuccess();
    }

    private static Process start(Path home) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(home.resolve("lockstep").toString());
        Map<String, String> environment = builder.environment();
        environment.put("JAVA_HOME", home.resolve("jdk").toString());
        environment.put("PATH", home.resolve("bin") + ":" + environment.get("PATH"));
        environment.remove("LOCKSTEP_NO_BUILD");
        return builder.redirectErrorStream(true).start();
    }

    private static void assertRuns(Peer.Result result) {
        result.expectSuccess();
        assertTrue(result.output().startsWith("lockstep "), result.output());
        assertEquals("", result.errors());
    }

    private static Peer.Result run(Path folder, Map<String, String> more, String... command) {
        ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile());
        builder.environment().put("LOCKSTEP_NO_BUILD", "1");
        builder.environment().putAll(more);
        return Peer.run(builder, Duration.ofMinutes(1));
    }
}
