package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.image.OpenImage;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep img bench`.
@Command(
        name = "bench",
        description = {
            "Measure how long requests take, one after the other through an image.",
            "",
            "With -w the image is written to: what it had is lost."
        },
        footer = {"", "Example:", "  lockstep img bench -d 32 -s 64k -t none disk.qcow2"})
final class BenchCommand implements Callable<Integer> {
    private static final double NANOS_PER_SECOND = 1e9;

    @Mixin private ImageFile image = new ImageFile();

    @Option(names = "-c", paramLabel = "COUNT", description = "How many requests. Default: 75000.")
    private int count = 75_000;

    @Option(names = "-d", paramLabel = "DEPTH", description = "How many at once. Default: 64.")
    private int depth = 64;

    @Option(
            names = "--flush-interval",
            paramLabel = "N",
            description = "Wait for all requests and flush after every N; with -w.")
    private int flushInterval;

    @Option(names = "--no-drain", description = "Flush without waiting for all requests.")
    private boolean noDrain;

    @Option(
            names = "-i",
            paramLabel = "AIO",
            description = "threads, native or io_uring: taken, and makes no difference.")
    @SuppressWarnings("UnusedVariable")
    private Aio aio = Aio.THREADS;

    @Option(names = "-n", description = "The same as -i native.")
    @SuppressWarnings("UnusedVariable")
    private boolean nativeAio;

    @Option(names = "-o", paramLabel = "OFFSET", description = "Where to begin. Default: 0.")
    private String offset = "0";

    @Option(names = "--pattern", paramLabel = "BYTE", description = "What to write. Default: 0.")
    private int pattern;

    @Option(names = "-q", description = "Print nothing but errors.")
    private boolean quiet;

    @Option(names = "-s", paramLabel = "SIZE", description = "A request's length. Default: 4k.")
    private String buffer = "4k";

    @Option(
            names = "-S",
            paramLabel = "SIZE",
            description =
                    "From one request's beginning to the next's. Default: a request's length.")
    private String step = "";

    @Option(names = "-t", paramLabel = "CACHE", description = "The cache mode. Default: writeback.")
    private String cache = "writeback";

    @Option(names = "-w", description = "Write instead of reading.")
    private boolean write;

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the image; without -w.")
    private boolean forceShare;

    private enum Aio {
        THREADS,
        NATIVE,
        IO_URING
    }

    @Override
    public Integer call() throws IOException {
        Bench.Plan plan = plan();
        try (OpenImage opened =
                write
                        ? Images.openToWrite(image.spec(), cache)
                        : Images.openToRead(image.spec(), cache, forceShare)) {
            Gate gate = opened.connect(!write);
            say(plan.announcement());
            long nanos = new Bench(gate, plan).run();
            say("Run completed in %3.3f seconds.".formatted(nanos / NANOS_PER_SECOND));
        }
        return 0;
    }

    private void say(String text) {
        if (!quiet) {
            System.out.println(text);
        }
    }

    private Bench.Plan plan() throws BlockException {
        long bytes = Sizes.parse("-s", buffer);
        long stepBytes = step.isEmpty() ? bytes : Sizes.parse("-S", step);
        require(count >= 0, "-c: a number of requests is not negative");
        require(depth > 0 && depth <= Bench.DEPTH_MAX, "-d: write 1 to " + Bench.DEPTH_MAX);
        require(bytes > 0 && bytes <= Bench.BYTES_MAX, "-s: write 1 to 64M");
        require(bytes * depth <= Bench.TOTAL_BYTES_MAX, "-s times -d is at most 1G");
        require(stepBytes <= Integer.MAX_VALUE, "-S: write less than 2G");
        require(pattern >= 0 && pattern <= 255, "--pattern: write 0 to 255");
        require(flushInterval >= 0, "--flush-interval: write a number of requests");
        require(flushInterval == 0 || write, "--flush-interval needs -w");
        require(flushInterval == 0 || flushInterval >= depth, "--flush-interval is at least -d");
        return new Bench.Plan(
                write,
                count,
                depth,
                (int) bytes,
                Sizes.parse("-o", offset),
                stepBytes,
                (byte) pattern,
                flushInterval,
                !noDrain);
    }

    private static void require(boolean fulfilled, String rule) throws BlockException {
        if (!fulfilled) {
            throw new BlockException(Kind.INVALID, rule);
        }
    }
}
