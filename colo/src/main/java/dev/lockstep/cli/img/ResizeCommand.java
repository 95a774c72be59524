package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.create.Preallocation;
import dev.lockstep.image.OpenImage;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.Callable;

/// `lockstep img resize`.
@Command(
        name = "resize",
        description = {
            "Make an image longer, by bytes that read as zeroes, or with --shrink shorter.",
            "",
            "SIZE is a length, or a difference with + or - before it. (A difference with - comes"
                    + " after --, since it looks like an option.)"
        },
        footer = {"", "Example:", "  lockstep img resize disk.qcow2 +10G"})
final class ResizeCommand implements Callable<Integer> {
    private static final long SECTOR_BYTES = 512;
    private static final int STEP_BYTES = 1 << 20;

    @Mixin private ImageFile image = new ImageFile();

    @Option(names = "--shrink", description = "Agree to lose what lies beyond the new end.")
    private boolean shrink;

    @Option(names = "-q", description = "Print nothing but errors.")
    private boolean quiet;

    @Option(
            names = "--preallocation",
            paramLabel = "MODE",
            description =
                    "What of the new space takes its place at once: off (the default), metadata,"
                            + " falloc or full.")
    private String preallocation = "off";

    @Parameters(index = "1", paramLabel = "SIZE", description = "Its new length.")
    @SuppressWarnings("NullAway.Init")
    private String size;

    @Override
    public Integer call() throws IOException {
        Preallocation how = preallocation();
        try (OpenImage opened = Images.openToWrite(image.spec(), "writeback")) {
            opened.warnOfGuesses();
            Gate gate = opened.connect(false);
            long bytes = target(gate.size());
            if (bytes < gate.size() && !shrink) {
                throw new BlockException(
                        Kind.INVALID,
                        "%s has %d bytes and would lose what is beyond %d: say --shrink to agree"
                                .formatted(image.name(), gate.size(), bytes));
            }
            if (bytes < gate.size() && how != Preallocation.OFF) {
                throw refused("--preallocation is for an image that becomes longer");
            }
            long before = gate.size();
            gate.resize(bytes);
            if (how != Preallocation.OFF) {
                preallocate(opened, gate, before, how);
            }
        }
        if (!quiet) {
            System.out.println("Image resized.");
        }
        return 0;
    }

    private Preallocation preallocation() throws BlockException {
        for (Preallocation each : Preallocation.values()) {
            if (each.label().equals(preallocation)) {
                return each;
            }
        }
        throw refused(
                "--preallocation is '%s': write off, metadata, falloc or full"
                        .formatted(preallocation));
    }

    /// Gives the new end its place.
    private void preallocate(OpenImage opened, Gate gate, long from, Preallocation how)
            throws BlockException {
        if (opened.image().bare() instanceof Qcow2Device device) {
            device.preallocate(from, how);
        } else if (Images.isFormat(opened.image().driver()) || how == Preallocation.METADATA) {
            throw refused(
                    "a %s image has no --preallocation=%s"
                            .formatted(Images.format(opened.image()), how.label()));
        } else if (how == Preallocation.FALLOC) {
            gate.zero(from, gate.size() - from, WriteFlag.NONE);
        } else {
            ByteBuffer zeroes = ByteBuffer.allocate(STEP_BYTES);
            for (long at = from; at < gate.size(); at += STEP_BYTES) {
                int step = (int) Math.min(STEP_BYTES, gate.size() - at);
                gate.write(at, zeroes.slice(0, step), WriteFlag.NONE);
            }
        }
    }

    private BlockException refused(String reason) {
        return new BlockException(Kind.INVALID, "%s: %s".formatted(image.name(), reason));
    }

    /// The new length, in whole sectors.
    private long target(long before) throws BlockException {
        boolean relative = size.startsWith("+") || size.startsWith("-");
        long bytes = Sizes.parse("SIZE", relative ? size.substring(1) : size);
        long result = bytes;
        if (relative) {
            result = size.startsWith("+") ? before + bytes : before - bytes;
        }
        if (result <= 0 || result > Long.MAX_VALUE - SECTOR_BYTES) {
            throw new BlockException(
                    Kind.INVALID, "SIZE '%s' leaves no image of that length".formatted(size));
        }
        return (result + SECTOR_BYTES - 1) & -SECTOR_BYTES;
    }
}
