package dev.lockstep.block.qed;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Host;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

/// What an image of a test is like.
///
/// @param size what the guest sees, in bytes
/// @param backingBytes the length of the raw image below it, or 0 for none
record Shape(int clusterSize, int tableSize, int size, int backingBytes) {
    static Shape random(Random random) {
        int clusterSize = 4096 << (random.nextInt(8) == 0 ? 8 : random.nextInt(5));
        int tableSize = clusterSize > 65536 ? 2 : 2 << random.nextInt(4);
        int most = Math.min(8 << 20, (3 + random.nextInt(200)) * clusterSize);
        int size = most - 512 * random.nextInt(3);
        int backing =
                switch (random.nextInt(4)) {
                    case 0 -> 0;
                    case 1 -> size / 1024 * 512 + 512;
                    case 2 -> size + (1 << 20);
                    default -> size;
                };
        return new Shape(clusterSize, tableSize, size, backing);
    }

    /// What lies under the image: noise and zeroes.
    byte[] backing() {
        Random random = new Random(backingBytes);
        byte[] contents = new byte[backingBytes];
        random.nextBytes(contents);
        for (int at = 0; at < backingBytes; at += 12 << 10) {
            if (random.nextInt(3) == 0) {
                Arrays.fill(contents, at, Math.min(at + (12 << 10), backingBytes), (byte) 0);
            }
        }
        return contents;
    }

    /// What a guest finds in the fresh image.
    byte[] contents() {
        return Arrays.copyOf(backing(), size);
    }

    /// The image as ours makes it, over a raw file that is not there.
    byte[] made() throws BlockException {
        RecordingDevice file = new RecordingDevice(new byte[0]);
        String below = backingBytes == 0 ? null : "base.raw";
        QedCreator.create(
                new Gate(file), new CreateOptions(size, clusterSize, tableSize, below, "raw"));
        return file.contents();
    }

    /// The gate to what lies below, or null.
    @Nullable Gate below() {
        return backingBytes == 0 ? null : Gate.readOnly(new RecordingDevice(backing()));
    }

    /// Has qemu-img make it.
    void create(Path image) throws IOException, InterruptedException {
        String options = "cluster_size=%d,table_size=%d".formatted(clusterSize, tableSize);
        if (backingBytes > 0) {
            Path base = image.resolveSibling("base.raw");
            Files.write(base, backing());
            options += ",backing_fmt=raw,backing_file=" + base;
        }
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qed",
                "-o",
                options,
                image.toString(),
                Integer.toString(size));
    }
}
