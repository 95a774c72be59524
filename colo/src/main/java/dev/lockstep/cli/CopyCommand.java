package dev.lockstep.cli;

import dev.lockstep.block.copy.Comparison;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.DeviceCopy;
import dev.lockstep.cli.CopyPlace.Opened;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.concurrent.Callable;

/// `lockstep copy`.
@Command(
        name = "copy",
        description = {
            "Copy a disk, with nbdcopy's options: between NBD servers, files, block devices and"
                    + " pipes.",
            "",
            "What the source says is empty is not read, blocks of zeroes are not written, and both"
                    + " read as zeroes at the destination. A file is made, or replaced; any other"
                    + " destination is at least as long as the source, and keeps what lies beyond.",
            "",
            "Whatever goes wrong ends it with one sentence and status 1; the destination is then"
                    + " incomplete."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep copy nbd://server/disk local.raw            a backup",
            "  lockstep copy -p local.raw nbd+unix:///?socket=/s    with a bar",
            "  lockstep copy --flush --verify nbd://a nbd://b       durable, and read back",
            "  lockstep copy nbd://server - | zstd > disk.zst       through a pipe",
            "  lockstep copy [ nbdkit curl URL ] local.raw          from a server made for it"
        })
final class CopyCommand implements Callable<Integer> {
    @Mixin private CopyTuning tuning = new CopyTuning();

    @Option(
            names = "--flush",
            description =
                    "Return only when the copy is durable; otherwise the host may yet lose it.")
    private boolean flush;

    @Option(
            names = "--verify",
            description =
                    "Read both back and compare them; the first position that differs is an error.")
    private boolean verify;

    @Option(
            names = {"-p", "--progress"},
            arity = "0..1",
            paramLabel = "FD",
            fallbackValue = CopyProgress.BAR,
            preprocessor = AttachedValue.class,
            description =
                    "Show a bar on standard error, or write lines 'N/100' to a file descriptor.")
    private @Nullable String progress;

    @Parameters(
            index = "0",
            paramLabel = "SOURCE",
            description =
                    "An NBD URI, a file, a block device, - for standard input, or [ COMMAND"
                            + " ARGUMENT... ] to start a server, which is ended afterwards.")
    @SuppressWarnings("NullAway.Init")
    private String sourceText;

    @Parameters(
            index = "1",
            paramLabel = "DESTINATION",
            description = "The same, with - for standard output; or null: to forget it.")
    @SuppressWarnings("NullAway.Init")
    private String targetText;

    @Override
    public Integer call() throws IOException, InterruptedException {
        CopyOptions options = tuning.options();
        CopyPlace source = CopyPlace.parse(sourceText);
        CopyPlace target = CopyPlace.parse(targetText);
        check(source, target);
        if (source instanceof CopyPlace.Stream || target instanceof CopyPlace.Stream) {
            new CopyStreams(options, progress, flush).run(source, target);
        } else {
            copy(source, target, options);
        }
        return 0;
    }

    private void check(CopyPlace source, CopyPlace target) throws IOException {
        boolean stream = source instanceof CopyPlace.Stream || target instanceof CopyPlace.Stream;
        if (source instanceof CopyPlace.Nowhere) {
            throw new UsageError("null: is a destination; a source is a URI, a file or -");
        }
        if (verify && (stream || target instanceof CopyPlace.Nowhere)) {
            throw new UsageError("--verify reads both back, which a pipe or null: cannot");
        }
        if (source instanceof CopyPlace.Local(Path from)
                && target instanceof CopyPlace.Local(Path to)
                && Files.exists(from)
                && Files.exists(to)
                && Files.isSameFile(from, to)) {
            throw new UsageError("%s and %s are the same file".formatted(from, to));
        }
    }

    private void copy(CopyPlace from, CopyPlace to, CopyOptions options)
            throws IOException, InterruptedException {
        try (Opened source = CopyPlace.openSource(from, tuning.connections());
                Opened target = CopyPlace.openTarget(to, tuning.connections(), source.length())) {
            if (target.length() < source.length()) {
                throw new IOException(
                        "%s has %d bytes and %s only %d: the destination must not be smaller"
                                .formatted(
                                        sourceName(),
                                        source.length(),
                                        targetName(),
                                        target.length()));
            }
            boolean zeroAlready = CopyPlace.isNew(to) && !options.allocate();
            run(source, target, zeroAlready ? options.withTargetIsZero() : options);
        }
    }

    private void run(Opened source, Opened target, CopyOptions options)
            throws IOException, InterruptedException {
        long length = source.length();
        DeviceCopy copy = new DeviceCopy(source.gate(), target.gate(), length, options);
        try (CopyProgress telling = CopyProgress.start(progress, copy::doneBytes, length)) {
            try {
                copy.run();
                if (flush) {
                    target.gate().flush();
                }
            } catch (IOException e) {
                throw incomplete(targetName(), e);
            }
            if (telling != null) {
                telling.complete();
            }
        }
        if (verify) {
            Comparison comparison = new Comparison(source.gate(), target.gate(), length, options);
            OptionalLong differing = comparison.run();
            if (differing.isPresent()) {
                throw new IOException(
                        "%s differs from %s at offset %d"
                                .formatted(targetName(), sourceName(), differing.getAsLong()));
            }
        }
    }

    private String sourceName() {
        return ServerPlace.unfold(sourceText);
    }

    private String targetName() {
        return ServerPlace.unfold(targetText);
    }

    static IOException incomplete(String target, IOException e) {
        return new IOException("%s; %s is incomplete".formatted(e.getMessage(), target), e);
    }
}
