package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.Sink;
import dev.lockstep.block.filter.salvage.SalvageDevice;
import dev.lockstep.block.filter.throttle.Limits;
import dev.lockstep.block.filter.throttle.Rate;
import dev.lockstep.block.filter.throttle.ThrottleDevice;
import dev.lockstep.block.filter.throttle.ThrottleGroup;
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

    @Option(
            names = "-C",
            description =
                    "Taken, and makes no difference, but that -c, -S and --salvage exclude it.")
    private boolean offload;

    @Option(
            names = "-r",
            paramLabel = "RATE",
            description = "Read at most so many bytes a second: a number with k, M, G or T.")
    private @Nullable String rate;

    @Option(
            names = "--salvage",
            description =
                    "What cannot be read of the sources is zeroes in the target, and is told of"
                            + " on standard error.")
    private boolean salvage;

    /// How the sources are read.
    ///
    /// @param quiet nothing is told of what is lost
    Gate source(Gate source, boolean quiet) throws BlockException {
        if (offload && (compress || sparse != null || salvage)) {
            throw new BlockException(
                    Kind.INVALID, "-C excludes -c, -S and --salvage: leave one out");
        }
        Gate read = source;
        if (rate != null) {
            read = new Gate(new ThrottleDevice(read, new ThrottleGroup(limits(rate))));
        }
        if (salvage) {
            read = new Gate(new SalvageDevice(read, quiet ? _ -> {} : CopyArguments::warn));
        }
        return read;
    }

    private static Limits limits(String rate) throws BlockException {
        long perSecond = Sizes.parse("-r", rate);
        if (perSecond == 0 || perSecond > Rate.MAX) {
            throw new BlockException(Kind.INVALID, "-r %s: write 1 to 900T".formatted(rate));
        }
        Rate bytes = new Rate(perSecond, 0, 1);
        return new Limits(
                Limits.Split.UNLIMITED, new Limits.Split(bytes, Rate.UNLIMITED, Rate.UNLIMITED), 0);
    }

    private static void warn(String loss) {
        System.err.println("lockstep img convert: warning: " + loss);
    }

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
