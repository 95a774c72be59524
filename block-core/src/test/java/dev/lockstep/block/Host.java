package dev.lockstep.block;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// Runs the host's programs: the peers that a test compares with, and the tools that make devices.
public final class Host {
    private static final long LIMIT_SECONDS = 60;

    /// What a program printed on either stream, and how it ended.
    public record Outcome(int status, String output) {}

    private Host() {}

    /// Runs a program that is expected to succeed, and returns what it printed.
    public static String run(String... command) throws IOException, InterruptedException {
        Outcome outcome = outcome(command);
        if (outcome.status != 0) {
            throw new AssertionError("%s: %s".formatted(List.of(command), outcome.output));
        }
        return outcome.output.strip();
    }

    /// Runs a program that may fail.
    public static Outcome outcome(String... command) throws IOException, InterruptedException {
        Path output = Files.createTempFile("lockstep-test-", ".out");
        try {
            Process process = start(output, command);
            if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new AssertionError(List.of(command) + " did not end");
            }
            return new Outcome(process.exitValue(), Files.readString(output));
        } finally {
            Files.delete(output);
        }
    }

    /// Starts a program with its output in a file.
    public static Process start(Path output, String... command) throws IOException {
        try {
            return new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start();
        } catch (IOException e) {
            throw new AssertionError(
                    "this test needs the program %s: run ./verify, which installs it"
                            .formatted(command[0]),
                    e);
        }
    }

    /// A running program that one talks to, with `qemu-io`'s prompt for instance.
    public static Process interactive(String... command) throws IOException {
        try {
            return new ProcessBuilder(command).redirectErrorStream(true).start();
        } catch (IOException e) {
            throw new AssertionError(
                    "this test needs the program %s: run ./verify, which installs it"
                            .formatted(command[0]),
                    e);
        }
    }

    /// Waits until the program has printed a text.
    public static void awaitText(Process process, String text) throws IOException {
        StringBuilder seen = new StringBuilder();
        for (int next; seen.indexOf(text) < 0; ) {
            next = process.getInputStream().read();
            if (next < 0) {
                throw new AssertionError("ended without saying '%s': %s".formatted(text, seen));
            }
            seen.append((char) next);
        }
    }

    /// Tells an interactive program something.
    public static void say(Process process, String line) throws IOException {
        process.getOutputStream().write((line + "\n").getBytes(StandardCharsets.UTF_8));
        process.getOutputStream().flush();
    }
}
