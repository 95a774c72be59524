package dev.lockstep.cli;

import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.LaunchedServer;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// An NBD server as a command line names it: by a URI, or by the command that starts one, written
/// `[ COMMAND ARGUMENT... ]` as nbdinfo and nbdcopy have it.
sealed interface ServerPlace {
    /// A server that is there.
    record At(NbdUri uri) implements ServerPlace {}

    /// A server that is started, and ended afterwards.
    record Started(List<String> command) implements ServerPlace {}

    /// What is done with a server.
    interface Use<T> {
        T of(NbdUri uri) throws IOException;
    }

    /// Between the words of a command that was folded into one argument; no argument contains it.
    String SEPARATOR = "\0";

    String OPENING = "[";
    String CLOSING = "]";

    /// Makes one argument of each command in brackets, whose options are not ours to read.
    ///
    /// @throws UsageError if a bracket is not closed
    static String[] fold(String... arguments) {
        List<String> folded = new ArrayList<>();
        for (int at = 0; at < arguments.length; at++) {
            if (!arguments[at].equals(OPENING)) {
                folded.add(arguments[at]);
                continue;
            }
            List<String> words = new ArrayList<>();
            while (++at < arguments.length && !arguments[at].equals(CLOSING)) {
                words.add(arguments[at]);
            }
            if (at == arguments.length || words.isEmpty()) {
                throw new UsageError("write a server's command as [ COMMAND ARGUMENT... ]");
            }
            folded.add(OPENING + SEPARATOR + String.join(SEPARATOR, words));
        }
        return folded.toArray(String[]::new);
    }

    /// An argument as it was written.
    static String unfold(String argument) {
        Started started = started(argument);
        return started == null
                ? argument
                : "%s %s %s".formatted(OPENING, String.join(" ", started.command()), CLOSING);
    }

    /// The command that an argument was folded from, or null if it was none.
    static @Nullable Started started(String argument) {
        String[] words = argument.split(SEPARATOR, -1);
        return words[0].equals(OPENING) && words.length > 1
                ? new Started(List.of(words).subList(1, words.length))
                : null;
    }

    /// Understands an argument.
    ///
    /// @throws IllegalArgumentException if it is neither
    static ServerPlace parse(String argument) {
        ServerPlace started = started(argument);
        return started == null ? new At(NbdUri.parse(argument)) : started;
    }

    /// Uses the server, which is there for as long as that takes.
    default <T> T use(Use<T> use) throws IOException {
        return switch (this) {
            case At(NbdUri uri) -> use.of(uri);
            case Started(List<String> command) -> {
                try (LaunchedServer server = LaunchedServer.start(command)) {
                    try {
                        yield use.of(server.uri());
                    } catch (IOException e) {
                        throw server.explained(e);
                    }
                }
            }
        };
    }
}
