package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/// Carries out lines, one after the other. One thread uses it; the requests that it starts beside
/// itself only print.
final class Session implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Session.class);

    /// A request that may fail.
    interface Request {
        void run() throws BlockException;
    }

    private static final Map<String, Verb> VERBS = new TreeMap<>();
    private static final Map<String, Verb> BY_ANY_NAME = new LinkedHashMap<>();

    static {
        Stream.of(ReadVerbs.ALL, WriteVerbs.ALL, SpaceVerbs.ALL, SessionVerbs.ALL, BreakVerbs.ALL)
                .flatMap(List::stream)
                .forEach(
                        verb -> {
                            VERBS.put(verb.fullName(), verb);
                            verb.names().forEach(name -> BY_ANY_NAME.put(name, verb));
                        });
    }

    private final PrintStream output;
    private final DiskOptions defaults;
    private final List<Thread> beside = new ArrayList<>();
    private @Nullable Disk disk;
    private boolean over;
    private boolean failed;

    /// @param defaults what the command line says of disks
    Session(PrintStream output, DiskOptions defaults) {
        this.output = output;
        this.defaults = defaults;
    }

    static List<Verb> verbs() {
        return List.copyOf(VERBS.values());
    }

    static @Nullable Verb verb(String name) {
        return BY_ANY_NAME.get(name);
    }

    DiskOptions defaults() {
        return defaults;
    }

    /// Whether `quit` was said.
    boolean isOver() {
        return over;
    }

    void end() {
        over = true;
    }

    /// Whether any command has failed.
    boolean hasFailed() {
        return failed;
    }

    /// Carries out a line, if there is anything in it.
    void run(String line) throws InterruptedException {
        List<String> words = Arrays.stream(line.split(" ")).filter(w -> !w.isEmpty()).toList();
        if (words.isEmpty()) {
            return;
        }
        try {
            run(words.getFirst(), words.subList(1, words.size()));
        } catch (CommandFailure e) {
            failed = true;
            switch (e.to()) {
                case OUTPUT -> print(e.getMessage() + System.lineSeparator());
                case ERRORS -> System.err.println(e.getMessage());
                case NOBODY -> {}
            }
        } catch (OutOfMemoryError _) {
            failed = true;
            print(words.getFirst() + " failed: Cannot allocate memory" + System.lineSeparator());
        }
    }

    private void run(String name, List<String> words) throws CommandFailure, InterruptedException {
        Verb verb = verb(name);
        if (verb == null) {
            throw CommandFailure.error("command \"%s\" not found".formatted(name));
        }
        if (!verb.arguments().contains(words.size())) {
            throw CommandFailure.error(
                    "bad argument count %d to %s, expected %s"
                            .formatted(words.size(), name, verb.arguments()));
        }
        if (verb.needsDisk() && disk == null) {
            throw CommandFailure.error("no file open, try 'help open'");
        }
        verb.action().run(this, verb, Words.parse(verb, words, verb.known()));
    }

    /// Prints at once, so that requests beside each other do not mix their lines.
    void print(String text) {
        output.print(text);
        output.flush();
    }

    @Nullable Disk diskOrNull() {
        return disk;
    }

    void use(@Nullable Disk opened) {
        disk = opened;
    }

    /// The open disk; the verb has said that it needs one.
    Disk disk() {
        Disk open = disk;
        if (open == null) {
            throw new IllegalStateException("no disk is open");
        }
        return open;
    }

    Gate gate() {
        return disk().gate();
    }

    /// Refuses to write to a disk that was opened for reading.
    void checkWritable() throws CommandFailure {
        if (gate().capabilities().readOnly()) {
            throw CommandFailure.error("lockstep io: %s is read-only".formatted(disk().name()));
        }
    }

    /// Makes a request and tells how long it took.
    ///
    /// @param label what failed, if it does
    long timed(String label, Request request) throws CommandFailure {
        long begin = System.nanoTime();
        try {
            request.run();
        } catch (BlockException e) {
            throw failed(label, e);
        }
        return System.nanoTime() - begin;
    }

    /// What is printed of a failed request; the log has the rest.
    static CommandFailure failed(String label, BlockException e) {
        LOG.info("{}", e.getMessage());
        return CommandFailure.said("%s failed: %s".formatted(label, Figures.reason(e)));
    }

    /// Does something beside what follows. Its failure is printed and not a failed command.
    void beside(String label, Request request) {
        beside.removeIf(thread -> !thread.isAlive());
        beside.add(
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    try {
                                        request.run();
                                    } catch (BlockException e) {
                                        print(failed(label, e).getMessage() + "\n");
                                    } catch (OutOfMemoryError e) {
                                        BlockException told =
                                                new BlockException(
                                                        Kind.NO_MEMORY, "no memory is left", e);
                                        print(failed(label, told).getMessage() + "\n");
                                    }
                                }));
    }

    /// Waits for what was begun beside.
    void awaitBeside() throws InterruptedException {
        for (Thread thread : beside) {
            thread.join();
        }
        beside.clear();
    }

    /// Closes the disk, if one is open.
    void closeDisk() throws CommandFailure, InterruptedException {
        awaitBeside();
        Disk open = disk;
        disk = null;
        if (open != null) {
            try {
                open.close();
            } catch (IOException e) {
                throw CommandFailure.error("lockstep io: " + e.getMessage());
            }
        }
    }

    /// Closes the disk. No request is in flight.
    @Override
    public void close() throws IOException {
        if (disk != null) {
            disk.close();
        }
    }
}
