package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/// Other people's programs, run to their end or in the background.
final class Peer {
    private static final Map<String, String> PACKAGES =
            Map.of(
                    "qemu-io", "qemu-utils",
                    "qemu-img", "qemu-utils",
                    "qemu-nbd", "qemu-utils",
                    "qemu-storage-daemon", "qemu-system-common",
                    "nbdinfo", "libnbd-bin",
                    "nbdcopy", "libnbd-bin",
                    "nbd-client", "nbd-client",
                    "systemd-socket-activate", "systemd",
                    "ip", "iproute2");

    private Peer() {}

    /// What a program did.
    record Result(List<String> command, int exit, String output, String errors) {
        Result expectSuccess() {
            assertEquals(0, exit, () -> String.join(" ", command) + "\n" + output + "\n" + errors);
            return this;
        }

        /// The one sentence that a command of ours owes its user when it fails.
        String expectOneSentence() {
            assertEquals(1, exit, () -> String.join(" ", command) + "\n" + output + errors);
            assertEquals(1, errors.lines().count(), errors);
            return errors.strip();
        }
    }

    static Result run(String... command) {
        require(command[0]);
        return run(new ProcessBuilder(command), Duration.ofMinutes(2));
    }

    /// Starts a program in the background; the caller ends it.
    static Process start(Path log, String... command) {
        require(command[0]);
        try {
            return new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(log.toFile())
                    .start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Result run(ProcessBuilder builder, Duration limit) {
        try {
            Path output = Files.createTempFile("lockstep", ".out");
            Path errors = Files.createTempFile("lockstep", ".err");
            Process process =
                    builder.redirectOutput(output.toFile()).redirectError(errors.toFile()).start();
            if (!process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
                process.destroyForcibly().waitFor();
                return fail(
                        "%s did not end within %s: %s %s"
                                .formatted(
                                        builder.command(),
                                        limit,
                                        Files.readString(output),
                                        Files.readString(errors)));
            }
            Result result =
                    new Result(
                            builder.command(),
                            process.exitValue(),
                            Files.readString(output),
                            Files.readString(errors));
            Files.delete(output);
            Files.delete(errors);
            return result;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void require(String program) {
        boolean found =
                program.contains("/")
                        || Stream.concat(
                                        Stream.of(System.getenv("PATH").split(":")),
                                        Stream.of("/usr/sbin", "/sbin"))
                                .anyMatch(folder -> Files.isExecutable(Path.of(folder, program)));
        if (!found) {
            fail(
                    "%s is not installed: apt-get install %s, or run ./verify, which does"
                            .formatted(program, PACKAGES.getOrDefault(program, program)));
        }
    }
}
