package dev.lockstep.cli.io;

import dev.lockstep.cli.io.Verb.Range;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.List;

/// `read`, `readv` and `aio_read`.
final class ReadVerbs {
    private static final String COMMON =
            """
             -C: tell it in numbers with commas between
             -P: say so, and fail, if the bytes are not all this one
             -q: say nothing of what was read
             -v: show the bytes
            """;

    private static final String READ_DETAILS =
            COMMON
                    + """
                       -s: with -P, look only from here on, counted from off
                       -l: with -P, look only at so many bytes
                       -p: taken, and means nothing
                       -b: read the state of a machine; no format here has one
                      """;

    static final List<Verb> ALL =
            List.of(
                    new Verb(
                            "read r",
                            Range.atLeast(2),
                            true,
                            "[-abCqv] [-P pattern [-s off] [-l len]] off len",
                            "reads a number of bytes at a specified offset",
                            READ_DETAILS,
                            "abCl:pP:qs:v",
                            ReadVerbs::read),
                    new Verb(
                            "readv",
                            Range.atLeast(2),
                            true,
                            "[-Cqv] [-P pattern] off len [len..]",
                            "reads a number of bytes at a specified offset",
                            COMMON,
                            "CP:qv",
                            ReadVerbs::readv),
                    new Verb(
                            "aio_read",
                            Range.atLeast(2),
                            true,
                            "[-Ciqv] [-P pattern] off len [len..]",
                            "asynchronously reads a number of bytes",
                            WriteVerbs.BESIDE + COMMON,
                            "CP:iqv",
                            ReadVerbs::aioRead));

    private ReadVerbs() {}

    /// What to look for, and where in what was read.
    private record Expected(byte value, int from, int length) {
        /// The whole of what was read.
        static @Nullable Expected in(Words words, int length) throws CommandFailure {
            Integer value = words.pattern('P');
            return value == null ? null : new Expected(value.byteValue(), 0, length);
        }

        boolean isIn(ByteBuffer bytes) {
            MemorySegment part = MemorySegment.ofBuffer(bytes).asSlice(from, length);
            // All bytes are the same if each is as its neighbour.
            return length == 0
                    || (bytes.get(from) == value
                            && part.asSlice(1).mismatch(part.asSlice(0, length - 1L)) < 0);
        }

        String missing(long offset) {
            return "Pattern verification failed at offset %d, %d bytes%n"
                    .formatted(offset + from, length);
        }
    }

    private static void read(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().size() != 2) {
            throw verb.misused();
        }
        long offset = words.bytes(0);
        int length = words.length(1);
        Expected expected = part(verb, words, Expected.in(words, length), length);
        if (words.has('b')) {
            throw CommandFailure.said("read failed: Operation not supported");
        }
        finish(session, "read", words, offset, length, expected);
    }

    private static @Nullable Expected part(
            Verb verb, Words words, @Nullable Expected whole, int length) throws CommandFailure {
        String start = words.value('s');
        String count = words.value('l');
        if (start == null && count == null) {
            return whole;
        }
        if (whole == null) {
            throw verb.misused();
        }
        long from = start == null ? 0 : Words.bytes(start);
        long bytes = count == null ? length - from : Words.bytes(count);
        if (bytes < 0 || from > length || from + bytes > length) {
            throw CommandFailure.said("pattern verification range exceeds end of read data");
        }
        return new Expected(whole.value(), (int) from, (int) bytes);
    }

    private static void readv(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().size() < 2) {
            throw verb.misused();
        }
        long offset = words.bytes(0);
        int length = words.lengths(1);
        finish(session, "readv", words, offset, length, Expected.in(words, length));
    }

    private static void finish(
            Session session,
            String label,
            Words words,
            long offset,
            int length,
            @Nullable Expected expected)
            throws CommandFailure {
        ByteBuffer bytes = ByteBuffer.allocateDirect(length);
        long nanos = session.timed(label, () -> session.gate().read(offset, bytes));
        if (!tell(session, words, offset, bytes.flip(), nanos, expected)) {
            throw CommandFailure.told();
        }
    }

    private static void aioRead(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().size() < 2) {
            throw verb.misused();
        }
        long offset = words.bytes(0);
        int length = words.lengths(1);
        Expected expected = Expected.in(words, length);
        if (words.has('i')) {
            session.print("injecting invalid read request\n");
            return;
        }
        ByteBuffer bytes = ByteBuffer.allocateDirect(length);
        long begin = System.nanoTime();
        session.beside(
                "readv",
                () -> {
                    session.gate().read(offset, bytes);
                    long nanos = System.nanoTime() - begin;
                    boolean _ = tell(session, words, offset, bytes.flip(), nanos, expected);
                });
    }

    /// Says what was read, in one piece.
    ///
    /// @return whether it was what was expected
    private static boolean tell(
            Session session,
            Words words,
            long offset,
            ByteBuffer bytes,
            long nanos,
            @Nullable Expected expected) {
        StringBuilder text = new StringBuilder();
        boolean right = expected == null || expected.isIn(bytes);
        if (expected != null && !right) {
            text.append(expected.missing(offset));
        }
        if (!words.has('q')) {
            if (words.has('v')) {
                text.append(Figures.dump(offset, bytes));
            }
            text.append(Figures.report("read", offset, bytes.limit(), nanos, words.has('C')));
        }
        session.print(text.toString());
        return right;
    }
}
