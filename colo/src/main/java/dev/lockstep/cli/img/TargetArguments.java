package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.image.ImageSpec;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.List;

/// The options that say what the target of a copy is.
final class TargetArguments {
    @Option(
            names = "-O",
            paramLabel = "FMT",
            description = "The target's format: qcow2, qed, or raw (the default).")
    private @Nullable String format;

    @Option(
            names = "-o",
            paramLabel = "OPTIONS",
            description = "Options of the target's format, as for 'create'; '-o help' lists them.")
    private List<String> options = List.of();

    @Option(
            names = {"-B", "-b"},
            paramLabel = "FILE",
            description =
                    "The target's backing file, which has what the source's has: only what lies"
                            + " above it is copied.")
    private @Nullable String backing;

    @Option(names = "-F", paramLabel = "FMT", description = "The backing file's format.")
    private @Nullable String backingFormat;

    @Option(names = "-n", description = "The target is there: write into it.")
    private boolean existing;

    @Option(
            names = "--target-image-opts",
            description = "The target's name is a list of options; with -n.")
    private boolean dotted;

    @Option(
            names = "--target-is-zero",
            description = "The target is known to read as zeroes; with -n.")
    private boolean zero;

    @Option(
            names = "-t",
            paramLabel = "CACHE",
            description =
                    "The target's cache mode. Default: unsafe, which is fast, and loses the copy if"
                            + " the host crashes before it has written it out.")
    private String cache = "unsafe";

    boolean hasBacking() {
        return backing != null;
    }

    ImageSpec spec(String file) throws BlockException {
        if (dotted && !existing) {
            throw new BlockException(Kind.INVALID, "--target-image-opts needs -n as well");
        }
        if (zero && !existing) {
            throw new BlockException(Kind.INVALID, "--target-is-zero needs -n as well");
        }
        return new ImageSpec(file, dotted ? null : formatName(), dotted);
    }

    private String formatName() {
        return format == null ? "raw" : format;
    }

    /// Makes the target, or finds it, and opens it.
    ///
    /// @param bytes the length that it needs
    Target prepare(ImageSpec spec, long bytes) throws IOException {
        if (existing) {
            return Target.existing(Images.openToWrite(spec, cache), zero);
        }
        NewImage image =
                NewImage.of(
                        new NewImage.Request(formatName(), options, bytes, backing, backingFormat),
                        new NewBacking(spec.text(), false, spec.objects()));
        return Target.make(image, spec, cache, backing == null);
    }
}
