package dev.lockstep.nbd.fuzz;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// Runs each fuzz target in a process of its own, since Jazzer instruments a whole JVM.
class FuzzTest {
    private static final int SECONDS = Integer.getInteger("lockstep.fuzz.seconds", 5);

    @ParameterizedTest
    @ValueSource(
            strings = {
                "dev.lockstep.nbd.CodecFuzz",
                "dev.lockstep.nbd.server.ServerFuzz",
                "dev.lockstep.nbd.client.ClientFuzz"
            })
    void no_bytes_do_harm(String target) throws Exception {
        String name = target.substring(target.lastIndexOf('.') + 1);
        Path work = Files.createDirectories(Path.of("target", "fuzz", name)).toAbsolutePath();
        Path corpus = Path.of("src", "test", "fuzz", name).toAbsolutePath();
        assertEquals(true, Files.isDirectory(corpus), corpus + " is missing");
        String output =
                run(
                        "--target_class=" + target,
                        "--instrumentation_includes=dev.lockstep.nbd.**",
                        // Jazzer's checks for injections take a minute to load, and one of them
                        // forbids the connections that this is about.
                        "--custom_hook_excludes=**",
                        "--disabled_hooks=com.code_intelligence.jazzer.sanitizers"
                                + ".ServerSideRequestForgery",
                        "--reproducer_path=" + work.getParent(),
                        "-artifact_prefix=" + work.getParent() + "/" + name + "-",
                        "-max_total_time=" + SECONDS,
                        "-timeout=60",
                        "-rss_limit_mb=0",
                        "-max_len=2048",
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
