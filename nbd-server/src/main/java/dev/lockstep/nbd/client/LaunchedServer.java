package dev.lockstep.nbd.client;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.lockstep.block.posix.Libc;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/// A server that was started for one client, with a listening socket handed to it as systemd would:
/// descriptor 3, `LISTEN_FDS` and `LISTEN_PID`. `nbdkit`, `qemu-nbd` and `lockstep nbd` understand
/// that. It is ended when this is closed, and when this process ends in good order.
///
/// The JDK's own processes inherit no descriptor beyond standard error, hence `posix_spawn`. A
/// shell tells the server its own number, which nobody knows before it runs.
public final class LaunchedServer implements AutoCloseable {
    private static final String WITH_ITS_PID = "export LISTEN_PID=$$; exec \"$@\"";

    /// The first descriptor that systemd hands in.
    private static final int HANDED_IN = 3;

    private static final int AF_UNIX = 1;
    private static final int SOCK_STREAM = 1;
    private static final int SOCK_CLOEXEC = 0x80000;
    private static final int SUN_PATH_BYTES = 108;
    private static final int WNOHANG = 1;
    private static final int BACKLOG = 64;

    /// Room for the C library's `posix_spawn_file_actions_t`, which takes 80 bytes in those we
    /// know.
    private static final int FILE_ACTIONS_BYTES = 256;

    /// A server has that long to end by itself.
    private static final Duration FAREWELL = Duration.ofSeconds(5);

    private static final Duration POLL = Duration.ofMillis(5);

    private final List<String> command;
    private final Path folder;
    private final int pid;
    private final Thread atExit = Thread.ofPlatform().unstarted(this::terminate);
    private boolean ended;

    private LaunchedServer(List<String> command, Path folder, int pid) {
        this.command = command;
        this.folder = folder;
        this.pid = pid;
    }

    /// Starts a server.
    ///
    /// @param command a program, found as a shell finds it, and its arguments
    /// @throws IOException with one sentence if it cannot be started
    public static LaunchedServer start(List<String> command) throws IOException {
        requireProgram(command.getFirst());
        Path folder = Files.createTempDirectory("lockstep");
        try {
            LaunchedServer server =
                    new LaunchedServer(command, folder, spawn(command, socket(folder)));
            Runtime.getRuntime().addShutdownHook(server.atExit);
            return server;
        } catch (IOException e) {
            remove(folder);
            throw e;
        }
    }

    /// Where its default export is.
    public NbdUri uri() {
        return new NbdUri(new Address.Unix(socket(folder)), "", null);
    }

    /// What went wrong: if the server has ended, rather that than what its client noticed.
    public IOException explained(IOException noticed) {
        return hasEndedWithin(Duration.ofMillis(500))
                ? new IOException(
                        "the command '%s' ended instead of serving; what it said is above"
                                .formatted(String.join(" ", command)),
                        noticed)
                : noticed;
    }

    /// Ends the server, and waits for its end.
    @Override
    public void close() {
        terminate();
        if (!hasEndedWithin(FAREWELL)) {
            ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
            hasEndedWithin(FAREWELL);
        }
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException _) {
            // This process is ending.
        }
        remove(folder);
    }

    private void terminate() {
        if (!hasEnded()) {
            ProcessHandle.of(pid).ifPresent(ProcessHandle::destroy);
        }
    }

    private boolean hasEndedWithin(Duration patience) {
        long start = System.nanoTime();
        while (!hasEnded() && System.nanoTime() - start < patience.toNanos()) {
            LockSupport.parkNanos(POLL.toNanos());
        }
        return hasEnded();
    }

    private boolean hasEnded() {
        ended = ended || Libc.call("waitpid", pid, 0, WNOHANG) != 0;
        return ended;
    }

    private static Path socket(Path folder) {
        return folder.resolve("s");
    }

    private static void requireProgram(String program) throws IOException {
        boolean found =
                program.contains("/")
                        ? Files.isExecutable(Path.of(program))
                        : Arrays.stream(System.getenv("PATH").split(File.pathSeparator, -1))
                                .anyMatch(dir -> Files.isExecutable(Path.of(dir, program)));
        if (!found) {
            throw new IOException(
                    "there is no command '%s': install it, or write its whole path"
                            .formatted(program));
        }
    }

    private static int spawn(List<String> command, Path path) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            int socket = listen(arena, path);
            long actions = arena.allocate(FILE_ACTIONS_BYTES, Long.BYTES).address();
            require(Libc.call("posix_spawn_file_actions_init", actions) == 0);
            require(Libc.call("posix_spawn_file_actions_adddup2", actions, socket, HANDED_IN) == 0);
            List<String> words = new ArrayList<>(List.of("/bin/sh", "-c", WITH_ITS_PID, "sh"));
            words.addAll(command);
            MemorySegment pid = arena.allocate(JAVA_INT);
            int error =
                    Libc.call(
                            "posix_spawn",
                            pid.address(),
                            arena.allocateFrom("/bin/sh").address(),
                            actions,
                            0,
                            strings(arena, words).address(),
                            strings(arena, environment()).address());
            Libc.call("posix_spawn_file_actions_destroy", actions);
            Libc.call("close", socket);
            require(error == 0);
            return pid.get(JAVA_INT, 0);
        }
    }

    private static int listen(Arena arena, Path path) throws IOException {
        int socket = Libc.call("socket", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        require(socket >= 0);
        byte[] name = path.toString().getBytes(StandardCharsets.UTF_8);
        require(name.length < SUN_PATH_BYTES);
        MemorySegment address = arena.allocate(Short.BYTES + SUN_PATH_BYTES, Long.BYTES);
        address.set(JAVA_SHORT, 0, (short) AF_UNIX);
        MemorySegment.copy(name, 0, address, JAVA_BYTE, Short.BYTES, name.length);
        require(Libc.call("bind", socket, address.address(), address.byteSize()) == 0);
        require(Libc.call("listen", socket, BACKLOG) == 0);
        return socket;
    }

    private static List<String> environment() {
        List<String> lines = new ArrayList<>();
        for (Map.Entry<String, String> variable : System.getenv().entrySet()) {
            if (!variable.getKey().startsWith("LISTEN_")) {
                lines.add(variable.getKey() + "=" + variable.getValue());
            }
        }
        lines.add("LISTEN_FDS=1");
        return lines;
    }

    private static MemorySegment strings(Arena arena, List<String> texts) {
        MemorySegment array = arena.allocate(ADDRESS, texts.size() + 1L);
        for (int index = 0; index < texts.size(); index++) {
            array.setAtIndex(ADDRESS, index, arena.allocateFrom(texts.get(index)));
        }
        return array;
    }

    private static void require(boolean success) throws IOException {
        if (!success) {
            throw new IOException("the system refuses to start a server's command");
        }
    }

    private static void remove(Path folder) {
        try {
            Files.deleteIfExists(socket(folder));
            Files.deleteIfExists(folder);
        } catch (IOException _) {
            // The server has put something there; temporary folders are emptied by the system.
        }
    }
}
