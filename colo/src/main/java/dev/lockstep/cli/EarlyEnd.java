package dev.lockstep.cli;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/// What SIGTERM means to a server that has not begun to start: nothing is open yet, so it has ended
/// well, with status 0. Without this it would be 143 for as long as the command line is being read,
/// which is most of the time until a server listens.
///
/// What comes even earlier, in the launcher or while the JVM starts, ends as it ends every program.
final class EarlyEnd {
    private static final List<List<String>> SERVERS =
            List.of(List.of("nbd"), List.of("colo", "primary"), List.of("colo", "secondary"));

    private static final AtomicBoolean OVER = new AtomicBoolean();

    private EarlyEnd() {}

    /// From here on until [#over], if the arguments begin with a server's command.
    static void expect(String... arguments) {
        List<String> words =
                Arrays.stream(arguments).filter(word -> !word.startsWith("-")).limit(2).toList();
        boolean server =
                SERVERS.stream()
                        .anyMatch(
                                command ->
                                        command.size() <= words.size()
                                                && words.subList(0, command.size())
                                                        .equals(command));
        if (server) {
            Runtime.getRuntime()
                    .addShutdownHook(
                            Thread.ofPlatform().name("early end").unstarted(EarlyEnd::end));
        }
    }

    /// Somebody else sees to the end now.
    static void over() {
        OVER.set(true);
    }

    private static void end() {
        if (!OVER.get()) {
            Runtime.getRuntime().halt(0);
        }
    }
}
