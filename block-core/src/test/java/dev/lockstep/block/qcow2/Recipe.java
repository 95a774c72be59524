package dev.lockstep.block.qcow2;

import dev.lockstep.block.Host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// How qemu-img makes an image that a test is about.
///
/// @param options of the format, as after `qemu-img create -o`; the file of `data_file` is added
/// @param size what the guest sees, in bytes
/// @param below what lies under the image
record Recipe(String options, int size, Below below) {
    private static final Pattern CLUSTER_SIZE = Pattern.compile("cluster_size=(\\d+)");

    /// What an image is backed by.
    enum Below {
        NOTHING,
        RAW,
        /// Half as long as the image.
        SHORT_RAW,
        /// With other clusters than the image.
        QCOW2,
        LONG_QCOW2,
        COMPRESSED,
        /// Compressed, of version 2.
        OLD_COMPRESSED,
        ZSTD;

        boolean raw() {
            return this == RAW || this == SHORT_RAW;
        }
    }

    /// An image on its own.
    static Recipe of(String options, int size) {
        return new Recipe(options, size, Below.NOTHING);
    }

    Recipe above(Below backing) {
        return new Recipe(options, size, backing);
    }

    /// An image with any of the format's features.
    static Recipe random(Random random) {
        boolean old = random.nextInt(6) == 0;
        boolean extended = !old && random.nextInt(4) == 0;
        boolean external = !old && random.nextInt(6) == 0;
        int bits = extended ? 14 + random.nextInt(4) : 9 + random.nextInt(9);
        bits = random.nextInt(12) == 0 ? 21 : bits;
        List<String> options = new ArrayList<>();
        options.add("cluster_size=" + (1 << bits));
        options.add("compat=" + (old ? "0.10" : "1.1"));
        if (!old) {
            options.add("refcount_bits=" + (1 << random.nextInt(7)));
            options.add("extended_l2=" + (extended ? "on" : "off"));
            options.add("lazy_refcounts=" + (random.nextInt(4) == 0 ? "on" : "off"));
            options.add(
                    "compression_type=" + (random.nextInt(3) == 0 && !external ? "zstd" : "zlib"));
        }
        boolean rawData = external && random.nextBoolean();
        if (external) {
            options.add("data_file_raw=" + (rawData ? "on" : "off"));
        }
        Below below = Below.values()[random.nextInt(Below.values().length)];
        below = rawData || random.nextInt(3) == 0 ? Below.NOTHING : below;
        if (below == Below.NOTHING && random.nextInt(3) == 0) {
            options.add(
                    "preallocation="
                            + List.of("metadata", "falloc", "full").get(random.nextInt(3)));
        }
        int clusters = 3 + random.nextInt(bits > 16 ? 6 : 300);
        int size = Math.max(1 << 16, clusters << bits) - 512 * random.nextInt(2);
        return new Recipe(String.join(",", options), Math.min(size, 12 << 20), below);
    }

    int clusterBytes() {
        Matcher matcher = CLUSTER_SIZE.matcher(options);
        return matcher.find() ? Integer.parseInt(matcher.group(1)) : 1 << 16;
    }

    boolean external() {
        return options.contains("data_file_raw");
    }

    /// Version 2 has no zero clusters.
    boolean old() {
        return options.contains("compat=0.10");
    }

    /// Whether qemu's map looks through allocated clusters into the file below them.
    boolean mapLooksThrough() {
        return options.contains("preallocation=metadata") || external();
    }

    /// Where the data file of an image lies, if it has one.
    static Path dataFile(Path image) {
        return image.resolveSibling(image.getFileName() + ".data");
    }

    /// Where what lies under an image is, which other images share.
    Path backingFile(Path image) {
        return image.resolveSibling("%s-%d.base".formatted(below, size));
    }

    /// The image under this one, as a recipe of its own.
    Recipe backing() {
        return Recipe.of("", Math.toIntExact(belowBytes()));
    }

    /// Makes the image, and what lies under it unless an earlier one has it already.
    void create(Path image) throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(List.of("qemu-img", "create", "-q", "-f", "qcow2", "-o"));
        command.add(external() ? options + ",data_file=" + dataFile(image) : options);
        if (below != Below.NOTHING) {
            Path backing = backingFile(image);
            if (!Files.exists(backing)) {
                createBacking(backing);
            }
            command.addAll(List.of("-b", backing.toString()));
            command.addAll(List.of("-F", below.raw() ? "raw" : "qcow2"));
        }
        command.addAll(List.of(image.toString(), Integer.toString(size)));
        Files.deleteIfExists(dataFile(image));
        Host.run(command.toArray(String[]::new));
    }

    private void createBacking(Path backing) throws IOException, InterruptedException {
        byte[] contents = backingContents();
        if (below.raw()) {
            Files.write(backing, contents);
            return;
        }
        Path raw = backing.resolveSibling(backing.getFileName() + ".raw");
        Files.write(raw, contents);
        String options =
                switch (below) {
                    case OLD_COMPRESSED -> "cluster_size=4096,compat=0.10";
                    case ZSTD -> "cluster_size=8192,compression_type=zstd";
                    default -> "cluster_size=2048";
                };
        List<String> command = new ArrayList<>(List.of("qemu-img", "convert"));
        if (below != Below.QCOW2 && below != Below.LONG_QCOW2) {
            command.add("-c");
        }
        command.addAll(List.of("-f", "raw", "-O", "qcow2", "-o", options));
        command.addAll(List.of(raw.toString(), backing.toString()));
        Host.run(command.toArray(String[]::new));
        Files.delete(raw);
    }

    private long belowBytes() {
        return switch (below) {
            case SHORT_RAW -> (size / 1024 + 1) * 512L;
            case LONG_QCOW2 -> size + (1L << 20);
            default -> size;
        };
    }

    /// What lies under the image: noise, text that can be compressed, and zeroes.
    byte[] backingContents() {
        Random random = new Random(size);
        byte[] contents = new byte[Math.toIntExact(belowBytes())];
        random.nextBytes(contents);
        int piece = 12 << 10;
        for (int at = 0; at < contents.length; at += piece) {
            int end = Math.min(at + piece, contents.length);
            switch (random.nextInt(3)) {
                case 0 -> Arrays.fill(contents, at, end, (byte) 0);
                case 1 -> Arrays.fill(contents, at, end, (byte) (1 + random.nextInt(127)));
                default -> {}
            }
        }
        return contents;
    }

    /// What a guest finds in the fresh image.
    byte[] contents() {
        return below == Below.NOTHING ? new byte[size] : Arrays.copyOf(backingContents(), size);
    }

    /// Some of that, and zeroes beyond.
    byte[] contents(int offset, int length) {
        return Arrays.copyOfRange(
                Arrays.copyOf(contents(), offset + length), offset, offset + length);
    }
}
