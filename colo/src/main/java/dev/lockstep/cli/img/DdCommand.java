package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.DeviceCopy;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.raw.RawDevice;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;

/// `lockstep img dd`.
@Command(
        name = "dd",
        description = {
            "Copy a part of an image to a new image, in dd's words.",
            "",
            "The operands are if=FILE, of=FILE, bs=SIZE (512), skip=BLOCKS of the input to leave out"
                    + " (0) and count=BLOCKS to copy (all). Zeroes take no space in the new image."
        },
        footer = {
            "",
            "Example:",
            "  lockstep img dd -O qcow2 bs=1M skip=1 if=disk.raw of=disk.qcow2"
        })
final class DdCommand implements Callable<Integer> {
    private static final Set<String> OPERANDS = Set.of("if", "of", "bs", "skip", "count");
    private static final String BLOCK_BYTES_DEFAULT = "512";

    @Mixin private ImageArguments image = new ImageArguments();

    @Option(
            names = "-O",
            paramLabel = "FMT",
            description = "The new image's format: qcow2, or raw (the default).")
    private String format = "raw";

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the input.")
    private boolean forceShare;

    @Parameters(arity = "1..*", paramLabel = "OPERAND", description = "if=FILE and the others.")
    private List<String> operands = List.of();

    /// What the operands say.
    private record Wanted(String input, String output, long blockBytes, long skip, long count) {
        /// Where the part begins.
        long start() {
            return saturated(skip);
        }

        long bytes(long size) {
            return Math.clamp(size - start(), 0, saturated(count));
        }

        private long saturated(long blocks) {
            return blocks > Long.MAX_VALUE / blockBytes ? Long.MAX_VALUE : blocks * blockBytes;
        }
    }

    @Override
    public Integer call() throws IOException {
        Wanted wanted = wanted();
        try (Interruption interruption = Interruption.awaited();
                OpenImage input =
                        Images.openToRead(image.spec(wanted.input()), "writeback", forceShare)) {
            Gate gate = input.connect(true);
            if (wanted.start() > gate.size()) {
                throw new BlockException(
                        Kind.INVALID,
                        "%s: skip=%d is beyond its %d bytes"
                                .formatted(wanted.input(), wanted.skip(), gate.size()));
            }
            copy(gate, wanted, interruption);
        }
        return 0;
    }

    private void copy(Gate input, Wanted wanted, Interruption interruption) throws IOException {
        long bytes = wanted.bytes(input.size());
        Gate part = new Gate(RawDevice.window(input, wanted.start(), bytes));
        ImageSpec spec = new ImageSpec(wanted.output(), format, false, image.objects());
        NewImage.Request request = new NewImage.Request(format, List.of(), bytes, null, null);
        NewImage made =
                NewImage.of(request, new NewBacking(wanted.output(), false, spec.objects()));
        try (Target target = Target.make(made, spec, "unsafe", true)) {
            CopyOptions options = CopyOptions.DEFAULT.with(target.readsAsZero(), false);
            DeviceCopy copy = new DeviceCopy(part, target.gate(), bytes, options);
            interruption.stops(
                    () -> copy.cancel(new BlockException(Kind.GONE, "it was interrupted")));
            copy.run();
            target.keep();
        }
    }

    private Wanted wanted() throws BlockException {
        for (String operand : operands) {
            int equals = operand.indexOf('=');
            if (equals < 0 || !OPERANDS.contains(operand.substring(0, equals))) {
                throw new BlockException(
                        Kind.INVALID,
                        "'%s' is no operand: there are if=, of=, bs=, skip= and count="
                                .formatted(operand));
            }
        }
        String input = operand("if");
        String output = operand("of");
        if (input == null || output == null) {
            throw new BlockException(Kind.INVALID, "say what to copy where: if=FILE of=FILE");
        }
        String block = operand("bs");
        long blockBytes = Sizes.parse("bs", block == null ? BLOCK_BYTES_DEFAULT : block);
        if (blockBytes < 1 || blockBytes > Integer.MAX_VALUE) {
            throw new BlockException(Kind.INVALID, "bs=%s: write 1 to 2147483647".formatted(block));
        }
        String skip = operand("skip");
        String count = operand("count");
        return new Wanted(
                input,
                output,
                blockBytes,
                skip == null ? 0 : Sizes.parse("skip", skip),
                count == null ? Long.MAX_VALUE : Sizes.parse("count", count));
    }

    /// The last of its name counts.
    private @Nullable String operand(String name) {
        String found = null;
        for (String operand : operands) {
            found = operand.startsWith(name + "=") ? operand.substring(name.length() + 1) : found;
        }
        return found;
    }
}
