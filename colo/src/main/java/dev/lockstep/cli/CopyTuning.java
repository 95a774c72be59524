package dev.lockstep.cli;

import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.cli.Converters.Bytes;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

/// How `lockstep copy` copies: nbdcopy's options for speed and for holes.
final class CopyTuning {
    /// What nbdcopy opens.
    private static final int CONNECTIONS_DEFAULT = 4;

    private static final int CONNECTIONS_MAX = 16;
    private static final int REQUESTS_MAX = 1024;
    private static final int THREADS_MAX = 1024;
    private static final int REQUEST_BYTES_MIN = 4096;

    /// The longest payload that NBD has.
    private static final int REQUEST_BYTES_MAX = 32 << 20;

    private static final int SPARSE_BYTES_MIN = 512;
    private static final int SPARSE_BYTES_MAX = 1 << 30;

    /// Requests in flight times their length: a GiB of buffers is nobody's intention.
    private static final long QUEUE_BYTES_MAX = 1L << 30;

    @Option(
            names = {"-C", "--connections"},
            paramLabel = "N",
            description = "Open so many connections to a server that allows several. Default: 4.")
    private int connections = CONNECTIONS_DEFAULT;

    @Option(
            names = {"-R", "--requests"},
            paramLabel = "N",
            description = "Have so many requests in flight on each connection. Default: 4.")
    private int requests = CopyOptions.WORKERS_DEFAULT / CONNECTIONS_DEFAULT;

    @Option(
            names = "--request-size",
            paramLabel = "N",
            description =
                    "Read and write so many bytes at once, a power of 2 from 4096 to 32M. Default:"
                            + " 256K.")
    private Bytes requestSize = new Bytes(CopyOptions.REQUEST_BYTES_DEFAULT);

    @Option(
            names = "--queue-size",
            paramLabel = "N",
            description = "Have at most so many bytes in flight. Default: 16M.")
    private Bytes queueSize = new Bytes(16 << 20);

    @Option(
            names = {"-T", "--threads"},
            paramLabel = "N",
            description = "Accepted for nbdcopy's sake: every request has a thread of its own.")
    private int threads;

    @Option(
            names = "--synchronous",
            description = "Copy in order, one request at a time, on one connection.")
    private boolean synchronous;

    @Option(
            names = {"-S", "--sparse"},
            paramLabel = "N",
            description =
                    "Leave out blocks of so many zero bytes, a power of 2 from 512; 0 writes all"
                            + " data as it is. Default: 4096.")
    private @Nullable Bytes sparse;

    @Option(names = "--allocated", description = "Make the destination take space everywhere.")
    private boolean allocated;

    @Option(
            names = {"--destination-is-zero", "--target-is-zero"},
            description = "Trust that the destination reads as zeroes, and leave zeroes out.")
    private boolean targetIsZero;

    @Option(
            names = "--no-extents",
            description = "Read everything, and do not ask the source what is empty.")
    private boolean noExtents;

    /// How many connections to open to each server.
    int connections() {
        return synchronous ? 1 : connections;
    }

    /// What the engine is told.
    CopyOptions options() {
        range("--connections", connections, CONNECTIONS_MAX);
        range("--requests", requests, REQUESTS_MAX);
        if (threads < 0 || threads > THREADS_MAX) {
            throw new UsageError("--threads is from 0 to %d".formatted(THREADS_MAX));
        }
        int requestBytes =
                powerOfTwo("--request-size", requestSize, REQUEST_BYTES_MIN, REQUEST_BYTES_MAX);
        int sparseBytes = CopyOptions.SPARSE_BYTES_DEFAULT;
        if (sparse != null) {
            sparseBytes =
                    sparse.count() == 0
                            ? 0
                            : powerOfTwo("--sparse", sparse, SPARSE_BYTES_MIN, SPARSE_BYTES_MAX);
        }
        if (queueSize.count() > QUEUE_BYTES_MAX) {
            throw new UsageError("--queue-size is at most 1G");
        }
        long queued = Math.max(1, queueSize.count() / requestBytes);
        int workers = synchronous ? 1 : (int) Math.min(queued, (long) connections * requests);
        return new CopyOptions(
                requestBytes,
                workers,
                sparseBytes,
                1,
                !noExtents,
                targetIsZero,
                allocated,
                false,
                false);
    }

    private static void range(String name, int value, int max) {
        if (value < 1 || value > max) {
            throw new UsageError("%s is from 1 to %d, not %d".formatted(name, max, value));
        }
    }

    private static int powerOfTwo(String name, Bytes value, int min, int max) {
        if (Long.bitCount(value.count()) != 1 || value.count() < min || value.count() > max) {
            throw new UsageError(
                    "%s is a power of 2 from %d to %d, not %d"
                            .formatted(name, min, max, value.count()));
        }
        return (int) value.count();
    }
}
