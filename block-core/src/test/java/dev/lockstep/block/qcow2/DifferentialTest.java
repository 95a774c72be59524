package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Recipe.Below;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/// The same operations by ours and by qemu-io, on two images that qemu-img made alike.
///
/// The property `lockstep.proof.seconds` says for how long random images are tried.
class DifferentialTest {
    private static final Duration LIMIT =
            Duration.ofSeconds(Integer.getInteger("lockstep.proof.seconds", 12));

    /// So that a round that does not end is a failure; it takes a second.
    private static final Duration ROUND_MAX = Duration.ofMinutes(2);

    @TempDir(factory = Folder.class)
    private Path folder;

    @Test
    void random_operations_on_random_images_end_as_with_qemu_io() throws Exception {
        Random seeds = new Random(Seeds.next("DifferentialTest"));
        long end = System.nanoTime() + LIMIT.toNanos();
        int rounds = 0;
        for (; rounds == 0 || System.nanoTime() < end; rounds++) {
            long seed = seeds.nextLong();
            Random random = new Random(seed);
            Recipe recipe = Recipe.random(random);
            compare(seed, recipe, random);
        }
        System.out.println("DifferentialTest: %d images".formatted(rounds));
    }

    /// A discard that took the beginning of the next cluster of the data file with it.
    @ParameterizedTest
    @ValueSource(longs = {5994105615258567802L, 5849487289179717861L})
    void what_once_went_wrong_ends_as_with_qemu_io(long seed) {
        Random random = new Random(seed);
        compare(seed, Recipe.random(random), random);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "cluster_size=512,compat=0.10",
                "cluster_size=65536,compat=0.10",
                "cluster_size=512,refcount_bits=64",
                "cluster_size=512,refcount_bits=1",
                "cluster_size=1024,refcount_bits=2,lazy_refcounts=on",
                "cluster_size=4096,refcount_bits=4",
                "cluster_size=2097152,refcount_bits=8",
                "cluster_size=2097152,extended_l2=on,refcount_bits=32",
                "cluster_size=16384,extended_l2=on",
                "cluster_size=4096,compression_type=zstd",
                "cluster_size=4096,data_file_raw=off",
                "cluster_size=4096,data_file_raw=on",
                "cluster_size=16384,extended_l2=on,data_file_raw=on",
                "cluster_size=4096,preallocation=metadata",
                "cluster_size=4096,preallocation=falloc",
                "cluster_size=4096,preallocation=full"
            })
    void every_feature_ends_as_with_qemu_io(String options) throws Exception {
        long seed = Seeds.next("DifferentialTest " + options);
        Recipe recipe = Recipe.of(options, (5 << 20) - 512);
        compare(seed, recipe, new Random(seed));
        if (!options.contains("preallocation") && !options.contains("raw=on")) {
            for (Below below : List.of(Below.SHORT_RAW, Below.LONG_QCOW2, Below.OLD_COMPRESSED)) {
                compare(seed, recipe.above(below), new Random(seed));
            }
        }
    }

    private void compare(long seed, Recipe recipe, Random random) {
        assertTimeoutPreemptively(ROUND_MAX, () -> compareInTime(seed, recipe, random));
    }

    private void compareInTime(long seed, Recipe recipe, Random random) throws Exception {
        List<Operation> operations =
                Stream.generate(() -> Operation.random(random, recipe))
                        .limit(5 + random.nextInt(60))
                        .toList();
        try {
            Path ours = folder.resolve("ours.qcow2");
            Path theirs = folder.resolve("theirs.qcow2");
            recipe.create(ours);
            recipe.create(theirs);
            int half = operations.size() / 2;
            applyOurs(recipe, ours, operations.subList(0, half));
            Peer.apply(operations.subList(0, half), theirs);
            judge(recipe, ours, theirs);
            // Each goes on with what the other has written.
            applyOurs(recipe, theirs, operations.subList(half, operations.size()));
            Peer.apply(operations.subList(half, operations.size()), ours);
            judge(recipe, theirs, ours);
        } catch (AssertionError | IOException e) {
            throw new AssertionError("seed %d, %s, %s".formatted(seed, recipe, operations), e);
        }
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
    }

    private static void applyOurs(Recipe recipe, Path image, List<Operation> operations)
            throws IOException {
        try (OpenImage opened = OpenImage.open(recipe, image, false)) {
            Gate gate = opened.gate();
            for (Operation operation : operations) {
                operation.apply(gate);
            }
            gate.flush();
        }
    }

    private static void judge(Recipe recipe, Path ours, Path theirs) throws Exception {
        Peer.checkClean("last written by ours", ours);
        Peer.checkClean("last written by qemu-io", theirs);
        assertArrayEquals(read(recipe, theirs), read(recipe, ours), "what a guest finds");
        Peer.compare(ours, theirs);
        if (!recipe.mapLooksThrough()) {
            assertEquals(Peer.data(ours), data(recipe, ours), "the extents of ours");
            assertEquals(Peer.data(theirs), data(recipe, theirs), "the extents of theirs");
        }
    }

    private static byte[] read(Recipe recipe, Path image) throws IOException {
        try (OpenImage opened = OpenImage.open(recipe, image, true)) {
            return DiskModel.read(opened.gate(), 0, recipe.size());
        }
    }

    private static List<Extent> data(Recipe recipe, Path image) throws IOException {
        List<Extent> data = new ArrayList<>();
        try (OpenImage opened = OpenImage.open(recipe, image, true)) {
            Gate gate = opened.gate();
            for (long at = 0; at < recipe.size(); ) {
                for (Extent extent : gate.extents(at, recipe.size() - at)) {
                    at = extent.end();
                    if (extent.kind() == Extent.Kind.DATA) {
                        Peer.append(data, extent);
                    }
                }
            }
        }
        return data;
    }
}
