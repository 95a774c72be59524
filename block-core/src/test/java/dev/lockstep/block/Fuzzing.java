package dev.lockstep.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// Runs a fuzz target of Jazzer in a process of its own, since it instruments a whole JVM. The
/// property `lockstep.fuzz.seconds` says for how long.
public final class Fuzzing {
    private static final int SECONDS = Integer.getInteger("lockstep.fuzz.seconds", 3);

    private Fuzzing() {}

    /// Fails if some bytes do harm. It begins with the corpus in `src/test/fuzz`, leaves a finding
    /// in `target/fuzz`, and what reached something new in `target/fuzz/TARGET`.
    ///
    /// @param target the name of a class with a `fuzzerTestOneInput`
    /// @param instrumented the packages that it is to reach as much of as it can
    /// @param bytesMax how long an input may be
    public static void run(String target, String instrumented, int bytesMax)
            throws IOException, InterruptedException {
        String name = target.substring(target.lastIndexOf('.') + 1);
        Path work = Files.createDirectories(Path.of("target", "fuzz", name)).toAbsolutePath();
        Path corpus = Path.of("src", "test", "fuzz", name).toAbsolutePath();
        assertTrue(Files.isDirectory(corpus), corpus + " is missing");
        String output =
                run(
                        "--target_class=" + target,
                        "--instrumentation_includes=" + instrumented,
                        // Jazzer's checks for injections take a minute to load, and one of them
                        // forbids the connections that some targets are about.
                        "--custom_hook_excludes=**",
                        "--disabled_hooks=com.code_intelligence.jazzer.sanitizers"
                                + ".ServerSideRequestForgery",
                        "--reproducer_path=" + work.getParent(),
                        "-artifact_prefix=" + work.getParent() + "/" + name + "-",
                        "-max_total_time=" + SECONDS,
                        "-timeout=60",
                        "-rss_limit_mb=0",
                        "-max_len=" + bytesMax,
                        work.toString(),
                        corpus.toString());
        System.out.println(output.lines().toList().getLast());
    }

    private static String run(String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        Collections.addAll(
                command,
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+EnableDynamicAgentLoading",
                "-XX:+UseSerialGC",
                "-Xmx512m",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                System.getProperty("java.class.path"),
                "com.code_intelligence.jazzer.Jazzer");
        Collections.addAll(command, arguments);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        return output;
    }
}
