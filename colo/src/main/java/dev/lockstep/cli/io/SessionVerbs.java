package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;
import dev.lockstep.cli.io.DiskOptions.Flag;
import dev.lockstep.cli.io.Verb.Range;

import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/// What is about the session: `open`, `close`, `reopen`, `info`, `aio_flush`, `sleep`, `help`,
/// `quit` and the ways to crash.
final class SessionVerbs {
    /// What a shell adds to a signal's number.
    private static final int SIGNAL_STATUS = 128;

    private static final int SIGNAL_MAX = 64;
    private static final int SIGABRT = 6;

    private static final String OPEN_DETAILS =
            """
             -r: for reading only
             -s: what is written goes to a temporary file
             -C: what is read from images below it is written to it
             -n: the same as -t none
             -U: others may write to it meanwhile
             -t: the cache mode
             -d: what discards do: ignore or unmap
             -o: options of the driver, with commas between
             -k, -i MODE: taken, and make no difference
            """;

    private static final String REOPEN_DETAILS =
            """
             -r: for reading only
             -w: for reading and writing
             -c: with this cache mode
             -o: with these options of the driver
            """;

    static final List<Verb> ALL =
            List.of(
                    new Verb(
                            "open o",
                            Range.atLeast(1),
                            false,
                            "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
                            "open the file specified by path",
                            OPEN_DETAILS,
                            "Cd:i:kno:rst:U",
                            SessionVerbs::open),
                    new Verb(
                            "close c",
                            Range.atLeast(0),
                            true,
                            "",
                            "close the current open file",
                            "",
                            "",
                            (session, _, _) -> session.closeDisk()),
                    new Verb(
                            "reopen",
                            Range.atLeast(0),
                            true,
                            "[(-r|-w)] [-c cache] [-o options]",
                            "reopens an image with new options",
                            REOPEN_DETAILS,
                            "rwc:o:",
                            SessionVerbs::reopen),
                    new Verb(
                            "info i",
                            Range.exactly(0),
                            true,
                            "",
                            "prints information about the current file",
                            "",
                            "",
                            SessionVerbs::info),
                    new Verb(
                            "aio_flush",
                            Range.atLeast(0),
                            true,
                            "",
                            "completes all outstanding aio requests",
                            "",
                            "",
                            (session, _, _) -> session.awaitBeside()),
                    new Verb(
                            "sleep",
                            Range.exactly(1),
                            false,
                            "",
                            "waits for the given value in milliseconds",
                            "",
                            "",
                            SessionVerbs::sleep),
                    new Verb(
                            "help ?",
                            new Range(0, 1),
                            false,
                            "[command]",
                            "help for one or all commands",
                            "",
                            "",
                            SessionVerbs::help),
                    new Verb(
                            "quit q",
                            Range.atLeast(0),
                            false,
                            "",
                            "exit the program",
                            "",
                            "",
                            (session, _, _) -> session.end()),
                    new Verb(
                            "abort",
                            Range.exactly(0),
                            false,
                            "",
                            "simulate a program crash using abort(3)",
                            "",
                            "",
                            (_, _, _) -> crash(SIGABRT)),
                    new Verb(
                            "sigraise",
                            Range.exactly(1),
                            false,
                            "signal",
                            "raises a signal",
                            "",
                            "",
                            SessionVerbs::raise));

    private SessionVerbs() {}

    private static void open(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().size() > 1) {
            throw verb.misused();
        }
        if (session.diskOrNull() != null) {
            throw CommandFailure.error("lockstep io: file open already, try 'help close'");
        }
        DiskOptions options = session.defaults().asForOpen();
        String driver = words.letters().getOrDefault('o', "");
        try {
            if (words.has('r')) {
                options = options.with(Flag.READ_ONLY, true);
            }
            if (words.has('s')) {
                options = options.with(Flag.SNAPSHOT, true);
            }
            if (words.has('C')) {
                options = options.with(Flag.COPY_ON_READ, true);
            }
            if (words.has('U')) {
                options = options.with(Flag.FORCE_SHARE, true);
            }
            String cache = words.value('t');
            if (words.has('n') || cache != null) {
                options = options.withCache(cache == null ? "none" : cache);
            }
            String discard = words.value('d');
            if (discard != null) {
                options = options.withDiscard(discard);
            }
            String file = words.arguments().isEmpty() ? "" : words.arguments().getFirst();
            session.use(Disk.open(file, driver, options));
        } catch (IOException e) {
            throw CommandFailure.error("lockstep io: " + e.getMessage());
        }
    }

    private static void reopen(Session session, Verb verb, Words words)
            throws CommandFailure, InterruptedException {
        if (!words.arguments().isEmpty()) {
            throw verb.misused();
        }
        if (words.has('r') && words.has('w')) {
            throw CommandFailure.error("lockstep io: Only one -r/-w option may be given");
        }
        session.awaitBeside();
        Disk before = session.disk();
        try {
            DiskOptions options = before.options();
            if (words.has('r') || words.has('w')) {
                options = options.with(Flag.READ_ONLY, words.has('r'));
            }
            String cache = words.value('c');
            if (cache != null) {
                options = options.withCache(cache);
            }
            session.use(before.reopen(options, words.letters().getOrDefault('o', "")));
        } catch (IOException e) {
            throw CommandFailure.error("lockstep io: " + e.getMessage());
        }
    }

    private static void info(Session session, Verb verb, Words words) throws CommandFailure {
        try {
            session.print(session.disk().information());
        } catch (BlockException e) {
            throw CommandFailure.error("lockstep io: " + e.getMessage());
        }
    }

    private static void sleep(Session session, Verb verb, Words words)
            throws CommandFailure, InterruptedException {
        String text = words.arguments().getFirst();
        if (!text.matches("[0-9]{1,9}")) {
            throw CommandFailure.said(text + " is not a valid number");
        }
        TimeUnit.MILLISECONDS.sleep(Long.parseLong(text));
    }

    private static void help(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().isEmpty()) {
            StringBuilder text = new StringBuilder();
            Session.verbs().forEach(each -> text.append(each.usage()).append('\n'));
            session.print(text + "\nUse 'help commandname' for extended help.\n");
            return;
        }
        String name = words.arguments().getFirst();
        Verb asked = Session.verb(name);
        if (asked == null) {
            throw CommandFailure.said("command %s not found".formatted(name));
        }
        String details = asked.details();
        session.print(asked.usage() + (details.isEmpty() ? "\n" : "\n\n" + details + "\n"));
    }

    private static void raise(Session session, Verb verb, Words words) throws CommandFailure {
        String text = words.arguments().getFirst().toLowerCase(Locale.ROOT);
        if (!text.matches("[0-9]{1,2}") || Integer.parseInt(text) > SIGNAL_MAX) {
            throw CommandFailure.said(text + " is not a valid number");
        }
        crash(Integer.parseInt(text));
    }

    /// Ends at once, with nothing closed, as if a signal had ended it.
    private static void crash(int signal) {
        Runtime.getRuntime().halt(SIGNAL_STATUS + signal);
    }
}
