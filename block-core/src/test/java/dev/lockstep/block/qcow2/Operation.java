package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Something that can be done to an image by us and by qemu-io alike.
///
/// @param value what every byte becomes
record Operation(Kind kind, long offset, int length, int value) {
    /// What is done.
    enum Kind {
        WRITE,
        DURABLE_WRITE,
        COMPRESSED,
        ZERO,
        UNMAP,
        DISCARD,
        FLUSH
    }

    private static final int BYTES_MAX = 300_000;

    /// Any operation that fits an image.
    static Operation random(Random random, Recipe recipe) {
        Kind kind = Kind.values()[random.nextInt(Kind.values().length)];
        if (kind == Kind.COMPRESSED && recipe.external()) {
            kind = Kind.WRITE;
        }
        // Over a backing file qemu discards nothing in version 2.
        if (recipe.old() && recipe.below() != Recipe.Below.NOTHING) {
            kind =
                    switch (kind) {
                        case DISCARD -> Kind.UNMAP;
                        case COMPRESSED -> Kind.WRITE;
                        default -> kind;
                    };
        }
        int cluster = recipe.clusterBytes();
        int grain =
                switch (random.nextInt(4)) {
                    case 0 -> 1;
                    case 1 -> 512;
                    default -> cluster;
                };
        if (kind == Kind.COMPRESSED || kind == Kind.DISCARD) {
            grain = cluster;
        }
        int offset = random.nextInt(recipe.size()) / grain * grain;
        int most = random.nextInt(8) == 0 ? BYTES_MAX : 4 * cluster;
        int length = Math.min(BYTES_MAX, 1 + random.nextInt(most));
        length = (length + grain - 1) / grain * grain;
        if (kind == Kind.COMPRESSED) {
            length = cluster;
        }
        return new Operation(
                kind, offset, Math.min(length, recipe.size() - offset), 1 + random.nextInt(255));
    }

    /// Does it with ours. Every other write has its place decided before, which nobody notices.
    void apply(Gate gate) throws BlockException {
        switch (kind) {
            case WRITE -> {
                if (value % 2 == 0) {
                    gate.place(offset, length);
                }
                gate.write(offset, bytes(), WriteFlag.NONE);
            }
            case DURABLE_WRITE -> gate.write(offset, bytes(), WriteFlag.DURABLE);
            case COMPRESSED -> gate.writeCompressed(offset, bytes());
            case ZERO -> gate.zero(offset, length, WriteFlag.NONE);
            case UNMAP -> gate.zero(offset, length, WriteFlag.UNMAP);
            case DISCARD -> gate.discard(offset, length);
            case FLUSH -> gate.flush();
        }
    }

    /// The commands of qemu-io that do it. Other than ours, it compresses only what has no place in
    /// the image.
    List<String> commands() {
        String range = "%d %d".formatted(offset, length);
        return switch (kind) {
            case WRITE -> List.of("write -q -P %d %s".formatted(value, range));
            case DURABLE_WRITE -> List.of("write -q -f -P %d %s".formatted(value, range));
            case COMPRESSED ->
                    List.of("discard -q " + range, "write -q -c -P %d %s".formatted(value, range));
            case ZERO -> List.of("write -q -z " + range);
            case UNMAP -> List.of("write -q -z -u " + range);
            case DISCARD -> List.of("discard -q " + range);
            case FLUSH -> List.of("flush");
        };
    }

    private ByteBuffer bytes() {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) value);
        return ByteBuffer.wrap(bytes);
    }
}
