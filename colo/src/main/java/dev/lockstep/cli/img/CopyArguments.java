package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.Sink;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

/// The options that say how bytes are copied to a new image.
final class CopyArguments {
    private static final int WORKERS_MAX = 16;

    private static final int SECTOR_BYTES = 512;

    private static final int SPARSE_BYTES_MAX = 16 << 20;

    @Option(
            names = "-c",
            description = "Compress the target, on all cores. What is written to it later is not.")
    private boolean compress;

    @Option(
            names = "-S",
            paramLabel = "SIZE",
            description =
                    "So many zero bytes in a row are left out. Default: 4k. With 0 everything is"
                            + " read and written, and the target takes all of its space.")
    private @Nullable String sparse;

    @Option(
            names = "-m",
            paramLabel = "N",
            description = "Have so many requests in flight, 1 to 16. Default: 16.")
    private int workers = CopyOptions.WORKERS_DEFAULT;

    @Option(
            names = "-W",
            description =
                    "Data may lie in the target in any order, which makes it a little faster.")
    private boolean anyOrder;

    @Option(names = "-C", description = "Taken, and makes no difference.")
    @SuppressWarnings("UnusedVariable")
    private boolean offload;

    /// How to copy to a target.
    CopyOptions options(Gate target) throws BlockException {
        if (workers < 1 || workers > WORKERS_MAX) {
            throw new BlockException(Kind.INVALID, "-m %d: write 1 to 16".formatted(workers));
        }
        int unit = unit(target);
        int sparseBytes = sparseBytes();
        return new CopyOptions(
                Math.max(CopyOptions.REQUEST_BYTES_DEFAULT, unit),
                workers,
                unit > 0 ? unit : sparseBytes,
                Math.max(1, unit),
                sparseBytes > 0,
                false,
                false,
                false,
                anyOrder);
    }

    /// Where the copy goes.
    Sink sink(Gate target, CopyOptions options) {
        return compress ? Sink.compressing(target, options) : Sink.of(target, options);
    }

    private int unit(Gate target) throws BlockException {
        if (!compress) {
            return 0;
        }
        int unit = target.compressedUnit();
        if (unit == 0) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "-c: this format has no compression; qcow2 has: say -O qcow2");
        }
        return unit;
    }

    private int sparseBytes() throws BlockException {
        if (sparse == null) {
            return CopyOptions.SPARSE_BYTES_DEFAULT;
        }
        long bytes = Sizes.parse("-S", sparse);
        if (bytes > SPARSE_BYTES_MAX || bytes % SECTOR_BYTES != 0) {
            throw new BlockException(
                    Kind.INVALID,
                    "-S %s: write a multiple of 512 up to %d, or 0 to read and write everything"
                            .formatted(sparse, SPARSE_BYTES_MAX));
        }
        return (int) bytes;
    }
}
