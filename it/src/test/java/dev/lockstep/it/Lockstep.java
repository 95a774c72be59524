package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.fail;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.jspecify.annotations.Nullable;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/// One `lockstep` server process, started through the launcher and known by the pid that the
/// launcher had. Closing it kills it.
final class Lockstep implements AutoCloseable {
    static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final Path LAUNCHER = ROOT.resolve("lockstep");
    /// How long a command that does something and ends may take.
    static final Duration RUN_LIMIT = Duration.ofMinutes(1);

    private static final Duration START_LIMIT = Duration.ofMinutes(1);
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Process process;
    private final List<String> command;
    private final Path errors;
    private final BlockingQueue<String> outputLines;
    private final String uri;

    private Lockstep(
            Process process,
            List<String> command,
            Path errors,
            BlockingQueue<String> outputLines,
            String uri) {
        this.process = process;
        this.command = command;
        this.errors = errors;
        this.outputLines = outputLines;
        this.uri = uri;
    }

    /// Starts a server and returns once it printed its `ready:` line.
    static Lockstep start(String... arguments) {
        return start(Map.of(), arguments);
    }

    /// The same with more environment variables, for fault shims and JVM options.
    static Lockstep start(Map<String, String> environment, String... arguments) {
        List<String> command = command(arguments);
        try {
            Path errors = Files.createTempFile("lockstep", ".err");
            Process process = builder(command, environment).redirectError(errors.toFile()).start();
            BlockingQueue<String> lines = new LinkedBlockingQueue<>();
            Thread.ofVirtual().start(() -> drain(process, lines));
            String first = lines.poll(START_LIMIT.toMillis(), TimeUnit.MILLISECONDS);
            if (first == null || !first.startsWith("ready: ")) {
                process.destroyForcibly().waitFor();
                return fail(
                        "%s printed no ready line but %s and: %s"
                                .formatted(
                                        String.join(" ", command),
                                        first,
                                        Files.readString(errors)));
            }
            return new Lockstep(
                    process, command, errors, lines, first.substring("ready: ".length()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /// Starts a server that may never get ready; both its streams go to a file. The caller ends it.
    static Process launch(Path output, String... arguments) {
        return launch(output, Map.of(), arguments);
    }

    /// The same with more environment variables.
    static Process launch(Path output, Map<String, String> environment, String... arguments) {
        try {
            return builder(command(arguments), environment)
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// Runs a command to its end.
    static Peer.Result run(String... arguments) {
        return Peer.run(builder(command(arguments), Map.of()), RUN_LIMIT);
    }

    /// The same in a folder.
    static Peer.Result runIn(Path folder, String... arguments) {
        return Peer.run(
                builder(command(arguments), Map.of()).directory(folder.toFile()), RUN_LIMIT);
    }

    /// The same with a file as its standard input.
    static Peer.Result run(Path input, String... arguments) {
        return Peer.run(
                builder(command(arguments), Map.of()).redirectInput(input.toFile()), RUN_LIMIT);
    }

    /// Runs a command that has to succeed, and returns its standard output.
    static String succeed(String... arguments) {
        return run(arguments).expectSuccess().output();
    }

    /// Asks the side behind a monitor for its status.
    static JsonNode status(String monitor) {
        try {
            return JSON.readTree(succeed("colo", "status", "--json", "--monitor", monitor));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// The URI of the guest's export.
    String uri() {
        return uri;
    }

    long pid() {
        return process.pid();
    }

    boolean isAlive() {
        return process.isAlive();
    }

    /// Everything it wrote to standard error until now.
    String errors() {
        try {
            return Files.readString(errors);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// What it printed on standard output after the ready line.
    List<String> furtherOutput() {
        return List.copyOf(outputLines);
    }

    /// Ends it as a crash does.
    void kill9() {
        process.destroyForcibly();
        await();
    }

    /// Ends it as an operator does, and returns its exit status.
    int terminate() {
        process.destroy();
        return await();
    }

    /// Sends a signal by name, such as `STOP` or `CONT`.
    void signal(String name) {
        Peer.run("kill", "-" + name, Long.toString(pid())).expectSuccess();
    }

    /// Waits for its end and returns its exit status.
    int await() {
        try {
            if (!process.waitFor(60, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                return fail("%s did not end: %s".formatted(command, errors()));
            }
            return process.exitValue();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        if (process.isAlive()) {
            kill9();
        }
        try {
            Files.deleteIfExists(errors);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public String toString() {
        return String.join(" ", command) + "\n" + errors();
    }

    private static List<String> command(String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(LAUNCHER.toString());
        command.addAll(List.of(arguments));
        return command;
    }

    /// A shell that runs the tests in the background has them ignore SIGINT, which children
    /// inherit.
    private static ProcessBuilder builder(List<String> command, Map<String, String> environment) {
        List<String> whole = new ArrayList<>(List.of("env", "--default-signal=INT"));
        whole.addAll(command);
        ProcessBuilder builder = new ProcessBuilder(whole);
        builder.environment().put("LOCKSTEP_NO_BUILD", "1");
        builder.environment().putAll(environment);
        return builder;
    }

    private static void drain(Process process, BlockingQueue<String> lines) {
        try (BufferedReader reader =
                new BufferedReader(process.inputReader(StandardCharsets.UTF_8))) {
            for (@Nullable String line = reader.readLine();
                    line != null;
                    line = reader.readLine()) {
                lines.add(line);
            }
        } catch (IOException e) {
            lines.add("standard output broke: " + e);
        }
    }
}
