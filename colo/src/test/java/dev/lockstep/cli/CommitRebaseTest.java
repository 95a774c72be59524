package dev.lockstep.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/// `lockstep img commit` and `rebase` beside `qemu-img`, on two copies of a random chain.
class CommitRebaseTest {
    private static final Duration LIMIT =
            Duration.ofSeconds(Integer.getInteger("lockstep.proof.seconds", 5));

    @TempDir(factory = Folder.class)
    private Path folder;

    /// An image of a chain, the lowest first.
    private record Layer(String name, String format, int size) {
        static Layer random(Random random, int index, int count) {
            List<String> formats =
                    index == 0
                            ? List.of("raw", "qcow2", "qed")
                            // Around a write into a zero cluster, qemu 7.2's QED shows the backing
                            // file.
                            : index < count - 1 ? List.of("qcow2") : List.of("qcow2", "qed");
            int size = (1 + random.nextInt(24)) * 65536 + 512 * random.nextInt(3);
            return new Layer("layer" + index, formats.get(random.nextInt(formats.size())), size);
        }
    }

    private void create(Path place, Layer layer, String below, String belowFormat, Random random)
            throws Exception {
        List<String> command =
                new ArrayList<>(List.of("qemu-img", "create", "-q", "-f", layer.format));
        if (layer.format.equals("qcow2")) {
            int bits = 9 + random.nextInt(9);
            command.addAll(List.of("-o", "cluster_size=" + (1 << bits)));
        }
        if (!below.isEmpty()) {
            command.addAll(List.of("-b", below, "-F", belowFormat));
        }
        Path image = place.resolve(layer.name);
        command.addAll(List.of(image.toString(), Integer.toString(layer.size)));
        Host.run(command.toArray(String[]::new));
        List<String> writes = new ArrayList<>(List.of("qemu-io", "-f", layer.format));
        for (int count = random.nextInt(8); count > 0; count--) {
            int offset = random.nextInt(layer.size);
            int length = Math.min(1 + random.nextInt(150_000), layer.size - offset);
            boolean zero = layer.format.equals("qcow2") && random.nextInt(4) == 0;
            String how = zero ? "-z" : "-P " + random.nextInt(6);
            writes.addAll(List.of("-c", "write -q %s %d %d".formatted(how, offset, length)));
        }
        writes.addAll(List.of("-c", "length", image.toString()));
        Host.run(writes.toArray(String[]::new));
    }

    private List<Layer> chain(Path place, Random random) throws Exception {
        Files.createDirectory(place);
        int count = 2 + random.nextInt(3);
        List<Layer> layers = new ArrayList<>();
        for (int index = 0; index < count; index++) {
            Layer layer = Layer.random(random, index, count);
            Layer below = index == 0 ? null : layers.getLast();
            create(
                    place,
                    layer,
                    below == null ? "" : below.name,
                    below == null ? "" : below.format,
                    random);
            layers.add(layer);
        }
        return layers;
    }

    private static List<String> operation(List<Layer> layers, Layer other, Random random) {
        Layer top = layers.getLast();
        List<String> words = new ArrayList<>();
        if (random.nextBoolean()) {
            words.addAll(List.of("commit", "-q", "-f", top.format));
            if (random.nextInt(3) == 0) {
                words.add("-d");
            }
            if (random.nextBoolean()) {
                Layer base = layers.get(random.nextInt(layers.size() - 1));
                words.addAll(List.of("-b", base.name));
            }
        } else {
            words.addAll(List.of("rebase", "-q", "-f", top.format));
            Layer base = layers.get(random.nextInt(layers.size() - 1));
            switch (random.nextInt(4)) {
                case 0 -> words.addAll(List.of("-b", ""));
                case 1 -> words.addAll(List.of("-b", base.name, "-F", base.format));
                case 2 -> words.addAll(List.of("-u", "-b", other.name, "-F", other.format));
                default -> words.addAll(List.of("-b", other.name, "-F", other.format));
            }
        }
        return words;
    }

    private static int ours(List<String> operation, Path image) {
        List<String> words = new ArrayList<>(List.of("img"));
        words.addAll(operation);
        words.add(image.toString());
        return Main.commandLine("img").execute(words.toArray(String[]::new));
    }

    @Test
    void chains_end_as_with_qemu_img() throws Exception {
        Random seeds = new Random(Seeds.next("CommitRebaseTest"));
        long end = System.nanoTime() + LIMIT.toNanos();
        int rounds = 0;
        for (; rounds == 0 || System.nanoTime() < end; rounds++) {
            long seed = seeds.nextLong();
            Random random = new Random(seed);
            Path ours = folder.resolve("ours" + rounds);
            Path theirs = folder.resolve("theirs" + rounds);
            List<Layer> layers = chain(ours, random);
            Layer other = new Layer("other", "qcow2", (1 + random.nextInt(20)) * 65536);
            create(ours, other, "", "", random);
            copy(ours, theirs);
            List<String> operation = operation(layers, other, random);
            try {
                compare(layers, operation, ours, theirs);
            } catch (AssertionError | IOException e) {
                throw new AssertionError(
                        "seed %d: %s on %s above %s".formatted(seed, operation, layers, other), e);
            }
        }
        System.out.println("CommitRebaseTest: %d chains".formatted(rounds));
    }

    private static void compare(List<Layer> layers, List<String> operation, Path ours, Path theirs)
            throws Exception {
        Layer top = layers.getLast();
        byte[] before = raw(ours, top);
        List<String> command = new ArrayList<>(List.of("qemu-img"));
        command.addAll(operation);
        command.add(theirs.resolve(top.name).toString());
        Host.run(command.toArray(String[]::new));
        assertEquals(0, ours(operation, ours.resolve(top.name)), "our status");
        if (!operation.contains("-u")) {
            assertArrayEquals(before, raw(ours, top), "what a guest finds in the top");
        }
        for (Layer each : layers) {
            assertArrayEquals(raw(theirs, each), raw(ours, each), each.name);
            if (!each.format.equals("raw")) {
                Host.run("qemu-img", "check", "-q", ours.resolve(each.name).toString());
            }
        }
        assertEquals(chainOf(theirs, top), chainOf(ours, top), "info --backing-chain");
    }

    private static byte[] raw(Path place, Layer layer) throws Exception {
        Path raw = place.resolve("raw");
        Host.run(
                "qemu-img",
                "convert",
                "-f",
                layer.format,
                "-O",
                "raw",
                place.resolve(layer.name).toString(),
                raw.toString());
        return Files.readAllBytes(raw);
    }

    private static String chainOf(Path place, Layer top) throws Exception {
        String chain =
                Host.run(
                        "qemu-img",
                        "info",
                        "--output=json",
                        "--backing-chain",
                        "-f",
                        top.format,
                        place.resolve(top.name).toString());
        return chain.replaceAll("\"actual-size\": \\d+,?", "").replace(place.toString(), "");
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectory(to);
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(file.getFileName()));
            }
        }
    }

    @Test
    void what_makes_no_sense_is_refused_and_changes_nothing() throws Exception {
        Random random = new Random(1);
        Layer base = new Layer("base", "raw", 1 << 20);
        Layer top = new Layer("top", "qcow2", 1 << 20);
        create(folder, base, "", "", random);
        create(folder, top, "base", "raw", random);
        byte[] before = Files.readAllBytes(folder.resolve("top"));
        Path image = folder.resolve("top");
        assertNotEquals(0, ours(List.of("commit", "-b", "nobody"), image));
        assertNotEquals(0, ours(List.of("commit", "-t", "sometimes"), image));
        assertNotEquals(0, ours(List.of("commit", "-r", "0"), image));
        assertNotEquals(0, ours(List.of("commit", "-f", "raw"), folder.resolve("base")));
        assertNotEquals(0, ours(List.of("rebase"), image));
        assertNotEquals(0, ours(List.of("rebase", "-b", "base"), image));
        assertNotEquals(0, ours(List.of("rebase", "-b", "nobody", "-F", "raw"), image));
        assertNotEquals(0, ours(List.of("rebase", "-b", "base", "-F", "odd"), image));
        assertArrayEquals(before, Files.readAllBytes(image));
        long began = System.nanoTime();
        assertEquals(0, ours(List.of("commit", "-q", "-r", "100M"), image));
        assertTrue(System.nanoTime() - began < Duration.ofMinutes(1).toNanos());
    }
}
