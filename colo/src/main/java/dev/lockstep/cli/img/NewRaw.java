package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Locale;

/// A raw image that is to be made.
///
/// @param bytes its length as it was asked for; it becomes a multiple of 512
/// @param announced whether a preallocation was asked for
record NewRaw(long bytes, Preallocation preallocation, boolean announced) implements NewImage {
    static final String HELP =
            """
              nocow=<bool>           - Taken, and makes no difference
              preallocation=<str>    - off, falloc or full
              size=<size>            - Virtual disk size
            """;

    private static final int SECTOR_BYTES = 512;
    private static final int ZEROES_BYTES = 1 << 20;

    /// How much of it takes its place at once.
    enum Preallocation {
        OFF,
        FALLOC,
        FULL
    }

    static NewRaw read(OptionReader options) throws BlockException {
        if (options.has("backing_file")) {
            throw options.invalid("a raw image has no backing file: leave -b out");
        }
        boolean announced = options.has("preallocation");
        Preallocation preallocation =
                options.choice("preallocation", Preallocation.class, Preallocation.OFF);
        boolean _ = options.truth("nocow", false);
        long bytes = options.bytes("size", -1);
        options.finish();
        if (bytes < 0) {
            throw options.invalid("say how long the image is to be: SIZE is missing");
        }
        return new NewRaw(bytes, preallocation, announced);
    }

    @Override
    public String announcement(String file) {
        return "Formatting '%s', fmt=raw size=%d%s"
                .formatted(
                        file,
                        bytes,
                        announced
                                ? " preallocation=" + preallocation.name().toLowerCase(Locale.ROOT)
                                : "");
    }

    @Override
    public void make(String file, String cache) throws IOException {
        long length = (bytes + SECTOR_BYTES - 1) & -SECTOR_BYTES;
        Path path = NewFile.pathOf(new ImageSpec(file, "raw", false));
        try (OpenImage image = NewImage.openHolder(file, cache)) {
            Gate gate = image.connect(false);
            if (path == null) {
                useFixed(gate, length);
                return;
            }
            gate.resize(0);
            gate.resize(length);
            if (length > 0 && preallocation == Preallocation.FALLOC) {
                gate.zero(0, length, WriteFlag.NONE);
            } else if (preallocation == Preallocation.FULL) {
                fill(gate, length);
            }
        }
    }

    /// A device or a server is as long as it is. Its first sector is what may look like another
    /// format.
    private static void useFixed(Gate gate, long length) throws BlockException {
        if (gate.size() < length) {
            throw new BlockException(
                    Kind.NO_SPACE,
                    "%s has only %d of the %d bytes, and its length is fixed"
                            .formatted(gate.description(), gate.size(), length));
        }
        gate.zero(0, Math.min(SECTOR_BYTES, gate.size()), WriteFlag.NONE);
    }

    private static void fill(Gate gate, long length) throws BlockException {
        ByteBuffer zeroes = ByteBuffer.allocateDirect(ZEROES_BYTES);
        for (long at = 0; at < length; at += zeroes.limit()) {
            zeroes.clear().limit((int) Math.min(zeroes.capacity(), length - at));
            gate.write(at, zeroes, WriteFlag.NONE);
        }
    }
}
