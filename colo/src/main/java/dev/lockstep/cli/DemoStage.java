package dev.lockstep.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;

/// What the demo plays on: a temporary folder, processes of this same program, and a voice. All of
/// it is gone when the stage is closed or this process ends, however it does.
final class DemoStage implements AutoCloseable {
    private static final long START_LIMIT_SECONDS = 60;
    private static final long END_LIMIT_SECONDS = 60;
    private static final double NANOS_PER_SECOND = 1e9;
    private static final String READY = "ready: ";

    private final long startNanos = System.nanoTime();
    private final Path folder;
    private final List<Server> servers = new CopyOnWriteArrayList<>();
    private final Thread cleaner = Thread.ofPlatform().name("demo cleanup").unstarted(this::clean);

    DemoStage() throws IOException {
        folder = Files.createTempDirectory("lockstep-demo");
        Runtime.getRuntime().addShutdownHook(cleaner);
    }

    /// A server process.
    static final class Server {
        private final Process process;
        private final Path errors;
        private final BlockingQueue<String> output = new LinkedBlockingQueue<>();

        private Server(Process process, Path errors) {
            this.process = process;
            this.errors = errors;
            Thread.ofVirtual().name("demo output").start(this::readOutput);
        }

        long pid() {
            return process.pid();
        }

        /// Ends it as a crash would.
        void kill() throws InterruptedException {
            process.destroyForcibly();
            process.waitFor();
        }

        /// Ends it as an operator does.
        void terminate() throws IOException, InterruptedException {
            process.destroy();
            if (!process.waitFor(END_LIMIT_SECONDS, TimeUnit.SECONDS)) {
                throw new IOException("the server did not end within a minute of SIGTERM");
            }
            if (process.exitValue() != 0) {
                throw failed("ended with status " + process.exitValue());
            }
        }

        private String awaitReady() throws IOException, InterruptedException {
            String line = output.poll(START_LIMIT_SECONDS, TimeUnit.SECONDS);
            if (line == null || !line.startsWith(READY)) {
                throw failed("did not become ready");
            }
            return line.substring(READY.length());
        }

        private IOException failed(String what) throws IOException {
            String said = Files.readString(errors).strip().replaceAll("\\R+", " | ");
            return new IOException("a server " + what + ": " + said);
        }

        private void readOutput() {
            try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    output.add(line);
                }
                output.add("");
            } catch (IOException e) {
                output.add("");
            }
        }
    }

    /// A server that is ready, and where its guest attaches.
    record Started(Server server, String uri) {}

    Path file(String name) {
        return folder.resolve(name);
    }

    /// Says something, with the time since the beginning.
    void say(String text) {
        double seconds = (System.nanoTime() - startNanos) / NANOS_PER_SECOND;
        System.out.printf("[%6.2f s] %s%n", seconds, text);
    }

    /// Starts a server and waits until it is ready.
    Started start(String... arguments) throws IOException, InterruptedException {
        sayCommand(arguments);
        Path errors = file("server%d.err".formatted(servers.size()));
        Process process =
                new ProcessBuilder(command(arguments)).redirectError(errors.toFile()).start();
        Server server = new Server(process, errors);
        servers.add(server);
        String uri = server.awaitReady();
        say("  %s%s".formatted(READY, uri));
        return new Started(server, uri);
    }

    /// Runs a command to its end, which has to be a good one, and repeats what it says.
    void run(String... arguments) throws IOException, InterruptedException {
        sayCommand(arguments);
        Process process = new ProcessBuilder(command(arguments)).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int status = process.waitFor();
        if (status != 0) {
            throw new IOException(said.strip());
        }
        said.lines().forEach(line -> say("  %s".formatted(line)));
    }

    @Override
    public void close() {
        try {
            Runtime.getRuntime().removeShutdownHook(cleaner);
        } catch (IllegalStateException _) {
            // Somebody ends the process: the hook cleans up, and how the play broke off is no news.
            while (true) {
                LockSupport.park();
            }
        }
        clean();
    }

    private void sayCommand(String... arguments) {
        say("$ ./lockstep %s".formatted(String.join(" ", arguments)));
    }

    /// This very program: the same JVM, flags and class path.
    private static List<String> command(String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
        command.addAll(List.of(arguments));
        return command;
    }

    private void clean() {
        for (Server server : servers) {
            server.process.destroyForcibly().onExit().join();
        }
        try (Stream<Path> files = Files.walk(folder)) {
            files.sorted(Comparator.reverseOrder()).forEach(DemoStage::delete);
        } catch (IOException | UncheckedIOException e) {
            System.err.println("lockstep demo: " + folder + " stays behind: " + reason(e));
        }
    }

    private static void delete(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String reason(Exception e) {
        return String.valueOf(e.getMessage());
    }
}
