package dev.lockstep.cli;

import dev.lockstep.block.posix.Libc;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// `--fork`: a second process with the same command line becomes the server, in a session of its
/// own. The first one waits until that is ready, which its ready line tells, and ends; whatever the
/// second one says until then goes to standard error as usual.
///
/// A JVM cannot fork: only the thread that does would live on in the child.
final class Detached {
    /// Set for the second process.
    private static final String VARIABLE = "LOCKSTEP_DETACHED";

    private static final Path COMMAND_LINE = Path.of("/proc/self/cmdline");
    private static final File NOTHING = new File("/dev/null");
    private static final int O_RDWR = 2;
    private static final int STANDARD_OUTPUT = 1;
    private static final int STANDARD_ERROR = 2;

    private Detached() {}

    /// Whether this is the second process.
    static boolean isServer() {
        return System.getenv(VARIABLE) != null;
    }

    /// Starts the second process and returns the exit status of the first one: 0 once the server is
    /// ready.
    static int launch() throws IOException, InterruptedException {
        String all = Files.readString(COMMAND_LINE, StandardCharsets.UTF_8);
        ProcessBuilder builder = new ProcessBuilder(List.of(all.split("\0")));
        builder.environment().put(VARIABLE, "1");
        Process server =
                builder.redirectInput(NOTHING)
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        try (BufferedReader output = server.inputReader(StandardCharsets.UTF_8)) {
            return output.readLine() != null ? 0 : server.waitFor();
        }
    }

    /// Leaves the session of whoever started the first process.
    static void begin() {
        int _ = Libc.call("setsid");
    }

    /// Lets go of the streams of the first process, which ends now.
    ///
    /// @param keepErrors whether standard error stays open: `-v`
    static void ready(boolean keepErrors) {
        try (Arena arena = Arena.ofConfined()) {
            long path = arena.allocateFrom(NOTHING.getPath()).address();
            int nothing = Libc.call("open", path, O_RDWR);
            if (nothing < 0) {
                return;
            }
            int _ = Libc.call("dup2", nothing, STANDARD_OUTPUT);
            if (!keepErrors) {
                int _ = Libc.call("dup2", nothing, STANDARD_ERROR);
            }
        }
    }
}
