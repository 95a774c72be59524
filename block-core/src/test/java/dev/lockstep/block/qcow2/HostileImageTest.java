package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.Deflater;
import java.util.zip.DeflaterOutputStream;

/// Images that somebody made to do harm, or that a disk has damaged.
class HostileImageTest {
    private static final Duration LIMIT =
            Duration.ofSeconds(Integer.getInteger("lockstep.proof.seconds", 10));

    /// Opening and probing an image of some 100 KiB takes milliseconds and a few MiB.
    private static final Duration PROBE_MAX = Duration.ofSeconds(5);

    private static final long PROBE_BYTES_MAX = 256L << 20;

    /// The layout of a fresh image of qemu-img: one cluster each.
    private static final int CLUSTER = 65536;

    private static final int REFCOUNT_TABLE = CLUSTER;
    private static final int REFCOUNT_BLOCK = 2 * CLUSTER;
    private static final int L1 = 3 * CLUSTER;
    private static final int L2 = 4 * CLUSTER;
    private static final int DATA = 5 * CLUSTER;
    private static final long COPIED = 1L << 63;
    private static final long COMPRESSED = 1L << 62;

    @TempDir(factory = Folder.class)
    private Path folder;

    @Test
    void random_damage_is_met_with_sentences() throws Exception {
        Random seeds = new Random(Seeds.next("HostileImageTest"));
        List<byte[]> images = images();
        long end = System.nanoTime() + LIMIT.toNanos();
        int probed = 0;
        int opened = 0;
        for (; probed < 100 || System.nanoTime() < end; probed++) {
            long seed = seeds.nextLong();
            Random random = new Random(seed);
            int number = random.nextInt(images.size());
            byte[] image = damage(images.get(number).clone(), random);
            try {
                opened += probe(image, random) ? 1 : 0;
            } catch (Throwable e) {
                Files.write(Path.of("target", "hostile.qcow2"), image);
                throw new AssertionError(
                        "seed %d: damaged image %d, in target/hostile.qcow2"
                                .formatted(seed, number),
                        e);
            }
        }
        System.out.printf("HostileImageTest: %d images, %d opened%n", probed, opened);
        assertTrue(opened > probed / 10, "hardly any was opened");
    }

    /// Whether it could be opened.
    private static boolean probe(byte[] image, Random random) {
        ThreadMXBean memory = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = memory.getCurrentThreadAllocatedBytes();
        long began = System.nanoTime();
        Prober prober = new Prober(image, null).probe(random);
        Duration took = Duration.ofNanos(System.nanoTime() - began);
        assertTrue(took.compareTo(PROBE_MAX) < 0, () -> "it took " + took);
        long bytes = memory.getCurrentThreadAllocatedBytes() - allocated;
        assertTrue(bytes < PROBE_BYTES_MAX, () -> "it took %d bytes".formatted(bytes));
        return prober.failures().stream().noneMatch(e -> e.getMessage().contains("qcow2 header"));
    }

    private List<byte[]> images() throws Exception {
        List<byte[]> images = new ArrayList<>();
        for (String options :
                List.of(
                        "cluster_size=512,compat=0.10",
                        "cluster_size=512",
                        "cluster_size=4096,lazy_refcounts=on,compression_type=zstd",
                        "cluster_size=16384,extended_l2=on")) {
            Path image = folder.resolve("image.qcow2");
            Recipe.of(options, 400_896).create(image);
            Host.run(
                    "qemu-io",
                    "-f",
                    "qcow2",
                    "-c",
                    "write -q -P 1 0 100k",
                    "-c",
                    "write -q -c -P 2 128k 32k",
                    "-c",
                    "write -q -z 60k 30k",
                    image.toString());
            if (!options.contains("0.10")) {
                Host.run("qemu-img", "bitmap", "--add", image.toString(), "dirty");
            }
            Host.run("qemu-img", "snapshot", "-c", "before", image.toString());
            Host.run("qemu-io", "-f", "qcow2", "-c", "write -q -P 3 10k 50k", image.toString());
            images.add(Files.readAllBytes(image));
        }
        return images;
    }

    /// Changes some bytes or words, most of them where the metadata is.
    private static byte[] damage(byte[] image, Random random) {
        ByteBuffer words = ByteBuffer.wrap(image);
        for (int count = 1 + random.nextInt(6); count > 0; count--) {
            int at = somewhere(image, random);
            int word = at & -8;
            switch (random.nextInt(7)) {
                case 0 -> image[at] = (byte) random.nextInt();
                case 1 -> image[at] ^= (byte) (1 << random.nextInt(8));
                case 2 -> words.putLong(word, 1L << random.nextInt(64));
                case 3 -> words.putLong(word, words.getLong(somewhere(image, random) & -8));
                case 4 -> words.putLong(word, (random.nextInt(image.length) & -512L) | COPIED);
                case 5 -> words.putInt(at & -4, random.nextInt(5) - 2);
                default -> words.putLong(word, -random.nextInt(3));
            }
        }
        return random.nextInt(10) == 0 ? Arrays.copyOf(image, random.nextInt(image.length)) : image;
    }

    /// The header, or a place that is not empty.
    private static int somewhere(byte[] image, Random random) {
        if (random.nextInt(4) == 0) {
            return random.nextInt(Math.min(image.length, 512));
        }
        for (int tries = 0; tries < 20; tries++) {
            int at = random.nextInt(image.length) & -8;
            long word = ByteBuffer.wrap(image).getLong(Math.min(at, image.length - 8));
            if (word != 0 && (byte) word != (byte) (word >> 8)) {
                return Math.min(at + random.nextInt(8), image.length - 1);
            }
        }
        return random.nextInt(image.length);
    }

    @Test
    void numbers_of_the_header_that_cannot_be_are_named() throws Exception {
        assertRefused("cluster_bits", patch(20, 4, 63));
        assertRefused("cluster_bits", patch(20, 4, 8));
        assertRefused("cluster_bits", patch(20, 4, -1));
        assertRefused("size", patch(24, 8, -512));
        assertRefused("size", patch(24, 8, Long.MAX_VALUE - 511));
        assertRefused("l1_size", patch(36, 4, -1));
        assertRefused("l1_size", patch(36, 4, 1 << 27));
        assertRefused("l1_table_offset", patch(40, 8, 1L << 40));
        assertRefused("l1_table_offset", patch(40, 8, -CLUSTER));
        assertRefused("l1_table_offset", patch(40, 8, L1 + 512));
        assertRefused("l1_table_offset", patch(40, 8, 0));
        assertRefused("refcount_table_offset", patch(48, 8, 1L << 62));
        assertRefused("refcount_table_offset", patch(48, 8, 0));
        assertRefused("refcount_table_clusters", patch(56, 4, 0));
        assertRefused("refcount_table_clusters", patch(56, 4, -1));
        assertRefused("nb_snapshots", patch(60, 4, -1));
        assertRefused("snapshots_offset", patch(60, 4, 5, 64, 8, 1L << 50));
        assertRefused("refcount_order", patch(96, 4, 7));
        assertRefused("refcount_order", patch(96, 4, -1));
        assertRefused("header_length", patch(100, 4, -8));
        assertRefused("header", patch(100, 4, 1 << 20));
        assertRefused("backing_file_size", patch(8, 8, 512, 16, 4, 1024));
        assertRefused("backing_file_offset", patch(8, 8, CLUSTER - 1, 16, 4, 1023));
        assertRefused("backing_file_offset", patch(8, 8, -1, 16, 4, 1023));
        assertRefused("crypt_method", patch(32, 4, 3));
        assertRefused("incompatible bit 63", patch(72, 8, Long.MIN_VALUE));
        assertRefused("extension", patch(112, 8, 0x7777_7777_ffff_ffffL));
    }

    @Test
    void an_entry_that_points_beyond_the_file_or_between_clusters_is_corrupt() throws Exception {
        assertCorrupt(patch(L1, 8, (1L << 50) | COPIED));
        assertCorrupt(patch(L1, 8, L2 + 512 | COPIED));
        assertCorrupt(patch(L1, 8, L2 | COPIED | (1L << 60)));
        assertCorrupt(patch(L2, 8, (1L << 50) | COPIED));
        assertCorrupt(patch(L2, 8, DATA + 512 | COPIED));
        assertCorrupt(patch(L2, 8, DATA | COPIED | (1L << 57)));
    }

    @Test
    void a_cluster_that_is_metadata_is_never_written_as_data() throws Exception {
        for (int table : new int[] {REFCOUNT_TABLE, REFCOUNT_BLOCK, L1, L2}) {
            byte[] image = patch(L2, 8, table | COPIED);
            Prober prober = new Prober(image, null).probe(new WritesAtZero());
            assertTrue(
                    Arrays.equals(image, table, table + 64, prober.image(), table, table + 64),
                    "the table at 0x%x was written to: %s".formatted(table, prober.failures()));
            assertCorrupt(prober);
        }
    }

    /// Nobody has looked at the second table yet when the cluster is written to.
    @Test
    void an_l2_table_that_was_not_met_is_not_written_as_data_either() throws Exception {
        Path file = folder.resolve("tables.qcow2");
        Recipe.of("cluster_size=512", 128 << 10).create(file);
        Host.run(
                "qemu-io",
                "-f",
                "qcow2",
                "-c",
                "write -q 0 512",
                "-c",
                "write -q 64k 512",
                file + "");
        ByteBuffer image = ByteBuffer.wrap(Files.readAllBytes(file));
        int l1 = (int) image.getLong(40);
        int unmet = (int) (image.getLong(l1 + 2 * Long.BYTES) & ~COPIED);
        image.putLong((int) (image.getLong(l1) & ~COPIED), unmet | COPIED);
        Prober prober = new Prober(image.array(), null).probe(new WritesAtZero());
        assertTrue(
                Arrays.equals(
                        image.array(), unmet, unmet + 512, prober.image(), unmet, unmet + 512),
                () -> "the table was written to: " + prober.failures());
        assertCorrupt(prober);
    }

    @Test
    void a_table_that_is_its_own_entry_is_met_with_sentences() throws Exception {
        assertCorrupt(new Prober(patch(L1, 8, L1 | COPIED), null).probe(new WritesAtZero()));
        for (long place : new long[] {REFCOUNT_TABLE, 1L << 50, 512}) {
            // Nothing is mapped, so that the write has to allocate.
            byte[] image = patch(REFCOUNT_TABLE, 8, place, L2, 8, 0);
            assertCorrupt(new Prober(image, null).probe(new WritesAtZero()));
        }
    }

    @Test
    void a_compressed_cluster_beyond_the_end_or_of_noise_is_corrupt() throws Exception {
        assertCorrupt(patch(L2, 8, 1L << 45 | COMPRESSED));
        assertCorrupt(patch(L2, 8, (DATA + 100L) | COMPRESSED));
        assertCorrupt(patch(L2, 8, 0x3fffL << 48 | DATA | COMPRESSED));
    }

    @Test
    void a_compressed_cluster_that_never_ends_inflates_to_no_more_than_a_cluster()
            throws Exception {
        ByteArrayOutputStream bomb = new ByteArrayOutputStream();
        Deflater raw = new Deflater(9, true);
        try (DeflaterOutputStream out = new DeflaterOutputStream(bomb, raw)) {
            out.write(new byte[48 << 20]);
        }
        raw.end();
        byte[] image = patch(L2, 8, 127L << 54 | DATA | COMPRESSED);
        System.arraycopy(bomb.toByteArray(), 0, image, DATA, Math.min(bomb.size(), CLUSTER));
        assertTrue(bomb.size() < CLUSTER);
        ThreadMXBean memory = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = memory.getCurrentThreadAllocatedBytes();
        new Prober(image, null).probe(new Random(1));
        long bytes = memory.getCurrentThreadAllocatedBytes() - allocated;
        assertTrue(bytes < 32 << 20, () -> "it took %d bytes".formatted(bytes));
    }

    /// Every choice is the first: writes at the beginning of the disk.
    private static final class WritesAtZero extends Random {
        private static final long serialVersionUID = 1L;

        @Override
        public int nextInt(int bound) {
            return 0;
        }

        @Override
        public long nextLong(long bound) {
            return 0;
        }
    }

    private static void assertRefused(String field, byte[] image) {
        List<BlockException> failures = new Prober(image, null).probe(new Random(1)).failures();
        assertEquals(1, failures.size(), () -> field + ": " + failures);
        String message = failures.getFirst().getMessage();
        assertTrue(message.contains(field), () -> field + ": " + message);
    }

    private static void assertCorrupt(byte[] image) {
        assertCorrupt(new Prober(image, null).probe(new Random(1)));
    }

    private static void assertCorrupt(Prober prober) {
        List<BlockException> failures = prober.failures();
        assertFalse(failures.isEmpty(), "nothing was wrong with it");
        assertEquals(Kind.CORRUPT, failures.getFirst().kind(), () -> failures.toString());
    }

    /// An image with one cluster of data, and some numbers changed: position, bytes, value.
    private byte[] patch(long... changes) throws IOException, InterruptedException {
        Path file = folder.resolve("patched.qcow2");
        Recipe.of("cluster_size=65536", 1 << 20).create(file);
        Host.run("qemu-io", "-f", "qcow2", "-c", "write -q -P 1 0 64k", file.toString());
        ByteBuffer image = ByteBuffer.wrap(Files.readAllBytes(file));
        assertEquals(L2 | COPIED, image.getLong(L1));
        assertEquals(DATA | COPIED, image.getLong(L2));
        for (int index = 0; index < changes.length; index += 3) {
            if (changes[index + 1] == 8) {
                image.putLong((int) changes[index], changes[index + 2]);
            } else {
                image.putInt((int) changes[index], (int) changes[index + 2]);
            }
        }
        return image.array();
    }
}
