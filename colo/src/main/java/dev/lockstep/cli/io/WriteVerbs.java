package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.cli.io.Verb.Range;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// `write`, `writev` and `aio_write`.
final class WriteVerbs {
    /// What is written unless something is asked for.
    private static final int PATTERN_DEFAULT = 0xcd;

    private static final String COMMON =
            """
             -C: tell it in numbers with commas between
             -P: write this byte instead of 0xcd
             -f: it is durable when it is done
             -q: say nothing of what was written
            """;

    private static final String ZEROES =
            """
             -z: write zeroes, without sending them
             -u: with -z, the space may be released
            """;

    private static final String WRITE_DETAILS =
            COMMON
                    + ZEROES
                    + """
                       -n: with -z, fail if it is no faster than writing
                       -s: write what this file has, again and again
                       -c: write it compressed
                       -p: taken, and means nothing
                       -b: write the state of a machine; no format here has one
                      """;

    /// What the asynchronous verbs have in common.
    static final String BESIDE =
            """
             It runs beside what follows; aio_flush waits for it. Its failure is printed,
             and is no failed command.
             -i: fail it, without doing anything
            """;

    static final List<Verb> ALL =
            List.of(
                    new Verb(
                            "write w",
                            Range.atLeast(2),
                            true,
                            "[-bcCfnquz] [-P pattern | -s source_file] off len",
                            "writes a number of bytes at a specified offset",
                            WRITE_DETAILS,
                            "bcCfnpP:qs:uz",
                            WriteVerbs::write),
                    new Verb(
                            "writev",
                            Range.atLeast(2),
                            true,
                            "[-Cfq] [-P pattern] off len [len..]",
                            "writes a number of bytes at a specified offset",
                            COMMON,
                            "CfqP:",
                            WriteVerbs::writev),
                    new Verb(
                            "aio_write",
                            Range.atLeast(2),
                            true,
                            "[-Cfiquz] [-P pattern] off len [len..]",
                            "asynchronously writes a number of bytes",
                            BESIDE + COMMON + ZEROES,
                            "CfiP:quz",
                            WriteVerbs::aioWrite));

    private WriteVerbs() {}

    private static void write(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().size() != 2) {
            throw verb.misused();
        }
        check(words);
        long offset = words.bytes(0);
        long length = length(words);
        session.checkWritable();
        if (words.has('b')) {
            throw CommandFailure.said("write failed: Operation not supported");
        }
        Set<WriteFlag> flags = flags(words);
        ByteBuffer bytes = words.has('z') ? null : bytes(words, (int) length);
        long nanos =
                session.timed("write", () -> put(session, words, offset, length, bytes, flags));
        tell(session, words, offset, length, nanos);
    }

    /// A zero that must be fast may be of any length.
    private static long length(Words words) throws CommandFailure {
        long length = words.bytes(1);
        if (length > Words.REQUEST_BYTES_MAX && !words.has('n')) {
            throw CommandFailure.said(
                    "length cannot exceed %d without -n, given %s"
                            .formatted(Words.REQUEST_BYTES_MAX, words.arguments().get(1)));
        }
        return length;
    }

    private static void put(
            Session session,
            Words words,
            long offset,
            long length,
            @Nullable ByteBuffer bytes,
            Set<WriteFlag> flags)
            throws BlockException {
        if (bytes == null) {
            session.gate().zero(offset, length, flags);
        } else if (words.has('c')) {
            session.gate().writeCompressed(offset, bytes);
        } else {
            session.gate().write(offset, bytes, flags);
        }
    }

    private static void check(Words words) throws CommandFailure {
        boolean zero = words.has('z');
        if ((zero ? 1 : 0) + (words.has('P') ? 1 : 0) + (words.has('s') ? 1 : 0) > 1) {
            throw CommandFailure.said(
                    "Only one of -z, -P, and -s can be specified at the same time");
        }
        if (words.has('n') && !zero) {
            throw CommandFailure.said("-n requires -z to be specified");
        }
        if (words.has('u') && !zero) {
            throw CommandFailure.said("-u requires -z to be specified");
        }
    }

    private static Set<WriteFlag> flags(Words words) {
        Set<WriteFlag> flags = EnumSet.noneOf(WriteFlag.class);
        if (words.has('f')) {
            flags.add(WriteFlag.FUA);
        }
        if (words.has('u')) {
            flags.add(WriteFlag.MAY_UNMAP);
        }
        if (words.has('n')) {
            flags.add(WriteFlag.FAST);
        }
        return flags;
    }

    private static void writev(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().size() < 2) {
            throw verb.misused();
        }
        long offset = words.bytes(0);
        int length = words.lengths(1);
        ByteBuffer bytes = bytes(words, length);
        session.checkWritable();
        long nanos =
                session.timed("writev", () -> session.gate().write(offset, bytes, flags(words)));
        tell(session, words, offset, length, nanos);
    }

    private static void aioWrite(Session session, Verb verb, Words words) throws CommandFailure {
        if (words.arguments().size() < 2) {
            throw verb.misused();
        }
        if (words.has('z') && words.arguments().size() > 2) {
            throw CommandFailure.said("-z supports only a single length parameter");
        }
        if (words.has('u') && !words.has('z')) {
            throw CommandFailure.said("-u requires -z to be specified");
        }
        long offset = words.bytes(0);
        int length = words.lengths(1);
        if (words.has('i')) {
            session.print("injecting invalid write request\n");
            return;
        }
        session.checkWritable();
        ByteBuffer bytes = words.has('z') ? null : bytes(words, length);
        long begin = System.nanoTime();
        session.beside(
                "aio_write",
                () -> {
                    put(session, words, offset, length, bytes, flags(words));
                    tell(session, words, offset, length, System.nanoTime() - begin);
                });
    }

    private static void tell(Session session, Words words, long offset, long length, long nanos) {
        if (!words.has('q')) {
            session.print(Figures.report("wrote", offset, length, nanos, words.has('C')));
        }
    }

    private static ByteBuffer bytes(Words words, int length) throws CommandFailure {
        String file = words.value('s');
        if (file != null) {
            return repeated(file, length);
        }
        Integer pattern = words.pattern('P');
        ByteBuffer bytes = ByteBuffer.allocateDirect(length);
        MemorySegment.ofBuffer(bytes)
                .fill((byte) (pattern == null ? PATTERN_DEFAULT : pattern.intValue()));
        return bytes;
    }

    /// What a file has, over and over.
    private static ByteBuffer repeated(String file, int length) throws CommandFailure {
        ByteBuffer bytes = ByteBuffer.allocateDirect(length);
        byte[] part;
        try (var input = Files.newInputStream(Path.of(file))) {
            part = input.readNBytes(length);
        } catch (IOException e) {
            boolean missing = e instanceof NoSuchFileException;
            throw CommandFailure.error(
                    "%s: %s".formatted(file, missing ? "No such file or directory" : e));
        }
        if (part.length == 0 && length > 0) {
            throw CommandFailure.error(file + ": file is empty");
        }
        while (bytes.hasRemaining()) {
            bytes.put(part, 0, Math.min(part.length, bytes.remaining()));
        }
        return bytes.flip();
    }
}
