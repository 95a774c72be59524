package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.Host;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// Images that QEMU's tools made, with something of everything in them.
final class PeerImages {
    static final int SIZE = 4 << 20;

    private PeerImages() {}

    /// Makes one, and says with which options. QEMU finds it sound: its own images are not always,
    /// when a write has failed.
    static String create(Path path, Random random) throws Exception {
        while (true) {
            String options = tryCreate(path, random);
            if (Host.outcome("qemu-img", "check", path.toString()).status() == 0) {
                return options;
            }
        }
    }

    private static String tryCreate(Path path, Random random) throws Exception {
        boolean old = random.nextInt(6) == 0;
        boolean extended = !old && random.nextInt(4) == 0;
        int clusterBits = extended ? 14 + random.nextInt(3) : 9 + random.nextInt(8);
        boolean snapshot = random.nextInt(3) == 0;
        boolean wide = old || snapshot;
        boolean zstd = !old && random.nextInt(3) == 0;
        String options =
                "compat=%s,cluster_size=%d,refcount_bits=%d,extended_l2=%s,compression_type=%s"
                        .formatted(
                                old ? "0.10" : "1.1",
                                1 << clusterBits,
                                wide ? 16 : 4 << random.nextInt(5),
                                extended ? "on" : "off",
                                zstd ? "zstd" : "zlib");
        String image = path.toString();
        Host.run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, image, SIZE + "");
        write(image, random);
        if (snapshot) {
            Host.outcome("qemu-img", "snapshot", "-c", "one", image);
            write(image, random);
        }
        if (!old && random.nextInt(3) == 0) {
            Host.outcome("qemu-img", "bitmap", "--add", "-g", "4096", image, "bits");
            write(image, random);
        }
        return options;
    }

    private static void write(String image, Random random) throws Exception {
        List<String> command = new ArrayList<>(List.of("qemu-io"));
        for (int count = random.nextInt(12); count >= 0; count--) {
            int offset = random.nextInt(SIZE) & -4096;
            int length = Math.min(SIZE - offset, (1 + random.nextInt(64)) * 4096);
            command.add("-c");
            command.add(
                    switch (random.nextInt(6)) {
                        case 0 -> "write -z %d %d".formatted(offset, length);
                        case 1 -> "discard %d %d".formatted(offset, length);
                        case 2 -> "write -c -P 5 %d 65536".formatted(offset & -65536);
                        default ->
                                "write -P %d %d %d"
                                        .formatted(1 + random.nextInt(255), offset, length);
                    });
        }
        command.add(image);
        // QEMU does not compress over what is there: that write fails, the others succeed.
        Host.outcome(command.toArray(String[]::new));
    }
}
