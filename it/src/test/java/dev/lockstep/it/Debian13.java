package dev.lockstep.it;

import java.nio.file.Path;
import java.time.Duration;

/// Debian 13's NBD programs: qemu 10 and libnbd 1.22 speak extended headers, Debian 12's do not.
/// `it/rigs/debian13` unpacks them once a machine.
final class Debian13 {
    static final Path RIGS = Lockstep.ROOT.resolve("it").resolve("rigs");

    /// Downloading and unpacking takes half a minute, and another test may be at it already.
    private static final Duration UNPACKING_LIMIT = Duration.ofMinutes(5);

    private Debian13() {}

    /// The path of one of them, which [Peer] runs as it runs any other program.
    static String program(String name) {
        return Folder.PATH.resolve("bin").resolve(name).toString();
    }

    /// Runs one of them to its end.
    static Peer.Result run(String name, String... arguments) {
        String[] command = new String[arguments.length + 1];
        command[0] = program(name);
        System.arraycopy(arguments, 0, command, 1, arguments.length);
        return Peer.run(command);
    }

    /// Unpacked by the first who asks.
    private static final class Folder {
        private static final Path PATH =
                Path.of(
                        Peer.run(
                                        new ProcessBuilder(RIGS.resolve("debian13").toString()),
                                        UNPACKING_LIMIT)
                                .expectSuccess()
                                .output()
                                .strip());
    }
}
