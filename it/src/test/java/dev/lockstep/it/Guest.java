package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/// A guest that uses its disk through qemu-io.
final class Guest {
    private Guest() {}

    /// Runs qemu-io commands on an export, each of which has to succeed.
    static void run(String uri, String... commands) {
        Peer.Result result = attempt(uri, commands).expectSuccess();
        assertTrue(
                !result.output().contains("failed"),
                () -> String.join(" ", result.command()) + "\n" + result.output());
    }

    /// Runs qemu-io commands that have to fail, and returns what it said.
    static String runFailing(String uri, String... commands) {
        Peer.Result result = attempt(uri, commands);
        assertEquals(1, result.exit(), () -> result.output() + result.errors());
        return result.output() + result.errors();
    }

    private static Peer.Result attempt(String uri, String... commands) {
        String[] line = new String[4 + 2 * commands.length];
        line[0] = "qemu-io";
        line[1] = "-f";
        line[2] = "raw";
        line[3] = uri;
        for (int index = 0; index < commands.length; index++) {
            line[4 + 2 * index] = "-c";
            line[5 + 2 * index] = commands[index];
        }
        return Peer.run(line);
    }
}
