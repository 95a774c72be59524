package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.cli.io.Verb.Range;

import java.util.List;
import java.util.Locale;
import java.util.Set;

/// What is about space and length: `discard`, `flush`, `alloc`, `map`, `length` and `truncate`.
final class SpaceVerbs {
    private static final int SECTOR_BYTES = 512;

    /// What `truncate -m` takes.
    private static final Set<String> PREALLOCATIONS = Set.of("off", "metadata", "falloc", "full");

    private static final String DISCARD_DETAILS =
            """
             -C: tell it in numbers with commas between
             -q: say nothing of what was discarded
            """;

    static final List<Verb> ALL =
            List.of(
                    new Verb(
                            "discard d",
                            Range.atLeast(2),
                            true,
                            "[-Cq] off len",
                            "discards a number of bytes at a specified offset",
                            DISCARD_DETAILS,
                            "Cq",
                            SpaceVerbs::discard),
                    new Verb(
                            "flush f",
                            Range.atLeast(0),
                            true,
                            "",
                            "flush all in-core file state to disk",
                            "",
                            "",
                            SpaceVerbs::flush),
                    new Verb(
                            "alloc a",
                            new Range(1, 2),
                            true,
                            "offset [count]",
                            "checks if offset is allocated in the file",
                            "",
                            "",
                            SpaceVerbs::alloc),
                    new Verb(
                            "map",
                            Range.exactly(0),
                            true,
                            "",
                            "prints the allocated areas of a file",
                            "",
                            "",
                            SpaceVerbs::map),
                    new Verb(
                            "length l",
                            Range.exactly(0),
                            true,
                            "",
                            "gets the length of the current file",
                            "",
                            "",
                            (session, _, _) ->
                                    session.print(Figures.size(session.gate().size()) + "\n")),
                    new Verb(
                            "truncate t",
                            new Range(1, 3),
                            true,
                            "[-m prealloc_mode] off",
                            "truncates the current file at the given offset",
                            " -m: off; what else there is depends on the format\n",
                            "m:",
                            SpaceVerbs::truncate));

    private SpaceVerbs() {}

    private static void discard(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().size() != 2) {
            throw verb.misused();
        }
        long offset = words.bytes(0);
        int length = words.length(1);
        session.checkWritable();
        long nanos = session.timed("discard", () -> session.gate().discard(offset, length));
        if (!words.has('q')) {
            session.print(Figures.report("discard", offset, length, nanos, words.has('C')));
        }
    }

    private static void flush(Session session, Verb verb, Words words) throws CommandFailure {
        long _ = session.timed("flush", session.gate()::flush);
    }

    private static void alloc(Session session, Verb verb, Words words) throws CommandFailure {
        long offset = words.bytes(0);
        long count = words.arguments().size() > 1 ? words.bytes(1) : SECTOR_BYTES;
        long end = Math.min(session.gate().size(), offset + count);
        long[] allocated = {0};
        long _ =
                session.timed(
                        "alloc",
                        () -> {
                            for (long at = offset; at < end; ) {
                                Extent extent = session.disk().allocation(at, end - at);
                                allocated[0] += isAllocated(extent) ? extent.length() : 0;
                                at = extent.end();
                            }
                        });
        session.print(
                "%d/%d bytes allocated at offset %s%n"
                        .formatted(allocated[0], Math.max(0, end - offset), Figures.size(offset)));
    }

    private static void map(Session session, Verb verb, Words words) throws CommandFailure {
        long _ = session.timed("map", () -> printMap(session));
    }

    private static void printMap(Session session) throws BlockException {
        long size = session.gate().size();
        for (long at = 0; at < size; ) {
            Extent next = session.disk().allocation(at, size - at);
            boolean allocated = isAllocated(next);
            long end = next.end();
            while (end < size) {
                next = session.disk().allocation(end, size - end);
                if (isAllocated(next) != allocated) {
                    break;
                }
                end = next.end();
            }
            session.print(
                    "%s (0x%x) bytes %s allocated at offset %s (0x%x)%n"
                            .formatted(
                                    Figures.size(end - at),
                                    end - at,
                                    allocated ? "   " : "not",
                                    Figures.size(at),
                                    at));
            at = end;
        }
    }

    private static boolean isAllocated(Extent extent) {
        return extent.depth() == 1;
    }

    private static void truncate(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().isEmpty()) {
            throw verb.misused();
        }
        String preallocation = words.letters().getOrDefault('m', "off").toLowerCase(Locale.ROOT);
        if (!PREALLOCATIONS.contains(preallocation)) {
            throw CommandFailure.error(
                    "lockstep io: Invalid preallocation mode '%s'".formatted(preallocation));
        }
        long bytes = words.bytes(0);
        session.checkWritable();
        try {
            session.disk().resize(bytes, preallocation);
        } catch (BlockException e) {
            throw CommandFailure.error("lockstep io: " + e.getMessage());
        }
    }
}
