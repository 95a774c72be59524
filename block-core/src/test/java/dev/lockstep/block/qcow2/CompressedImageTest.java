package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// Compressed clusters, theirs and ours, with `qemu-img` as the judge.
class CompressedImageTest {
    private final Random random = new Random(Seeds.next("CompressedImageTest"));

    @TempDir private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"zlib", "zstd"})
    void what_qemu_compressed_reads_the_same_in_pages_and_as_a_whole(String type) throws Exception {
        for (int bits = 9; bits <= 21; bits += 3) {
            byte[] disk = disk((3 << bits) + 1024);
            Files.write(raw(), disk);
            Host.run(
                    "qemu-img",
                    "convert",
                    "-c",
                    "-O",
                    "qcow2",
                    "-f",
                    "raw",
                    "-o",
                    options(bits, type),
                    raw().toString(),
                    image().toString());
            try (Opened opened = new Opened()) {
                ByteBuffer whole = ByteBuffer.allocateDirect(disk.length);
                opened.gate.read(0, whole);
                assertEquals(ByteBuffer.wrap(disk), whole.flip());
                for (int at = 0; at < disk.length; at += 4096) {
                    ByteBuffer page = ByteBuffer.allocate(Math.min(4096, disk.length - at));
                    opened.gate.read(at, page);
                    assertEquals(ByteBuffer.wrap(disk, at, page.limit()), page.flip());
                }
            }
        }
    }

    @Test
    void images_with_any_mix_of_writes_are_what_qemu_finds_right() throws Exception {
        for (int turn = 0; turn < 24; turn++) {
            int bits = 9 + random.nextInt(13);
            boolean extended = bits >= 14 && random.nextBoolean();
            String options =
                    "%s,refcount_bits=%d,extended_l2=%s"
                            .formatted(
                                    options(bits, random.nextBoolean() ? "zlib" : "zstd"),
                                    1 << random.nextInt(7),
                                    extended ? "on" : "off");
            byte[] disk = new byte[((1 + random.nextInt(12)) << bits) + 512 * random.nextInt(2)];
            create(options, disk.length);
            for (int session = 0; session < 2; session++) {
                try (Opened opened = new Opened()) {
                    for (int operation = 0; operation < 20; operation++) {
                        operate(opened.gate, disk, 1 << bits);
                    }
                    ByteBuffer seen = ByteBuffer.allocateDirect(disk.length);
                    opened.gate.read(0, seen);
                    assertEquals(ByteBuffer.wrap(disk), seen.flip(), options);
                }
                judge(disk);
            }
        }
    }

    private void operate(Gate gate, byte[] disk, int cluster) throws BlockException {
        int clusters = Math.ceilDiv(disk.length, cluster);
        int offset = random.nextInt(clusters) * cluster;
        int length = Math.min(disk.length - offset, cluster * (1 + random.nextInt(3)));
        int kind = random.nextInt(5);
        if (kind >= 3) {
            offset = random.nextInt(disk.length);
            length = 1 + random.nextInt(Math.min(disk.length - offset, 2 * cluster));
        }
        byte[] bytes = disk(length);
        switch (kind) {
            case 0, 1, 2 -> gate.writeCompressed(offset, ByteBuffer.wrap(bytes));
            case 3 -> gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            default -> {
                Arrays.fill(bytes, (byte) 0);
                gate.zero(offset, length, WriteFlag.UNMAP);
                gate.flush();
            }
        }
        System.arraycopy(bytes, 0, disk, offset, length);
    }

    @Test
    void many_threads_compress_at_once() throws Exception {
        int cluster = 1 << 16;
        byte[] disk = disk(200 * cluster);
        create(options(16, "zlib"), disk.length);
        try (Opened opened = new Opened();
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> writes = new ArrayList<>();
            for (int at = 0; at < disk.length; at += cluster) {
                int offset = at;
                ByteBuffer source = ByteBuffer.wrap(disk, offset, cluster);
                writes.add(
                        threads.submit(
                                () -> {
                                    opened.gate.writeCompressed(offset, source);
                                    return null;
                                }));
            }
            for (Future<?> write : writes) {
                write.get();
            }
        }
        judge(disk);
    }

    @Test
    void clusters_share_a_cluster_of_the_file_as_long_as_they_fit() throws Exception {
        int cluster = 1 << 16;
        create(options(16, "zlib"), 64 * cluster);
        byte[] disk = new byte[64 * cluster];
        for (int at = 0; at < disk.length; at++) {
            disk[at] = (byte) (at >> 16);
        }
        try (Opened opened = new Opened()) {
            opened.gate.writeCompressed(0, ByteBuffer.wrap(disk));
        }
        judge(disk);
        // The header, a refcount table, a block, the L1 table, an L2 table and one for all data.
        assertEquals(6L * cluster, Files.size(image()));
    }

    @Test
    void what_does_not_shrink_is_written_as_it_is() throws Exception {
        int cluster = 1 << 16;
        byte[] noise = new byte[4 * cluster];
        random.nextBytes(noise);
        create(options(16, "zstd"), noise.length);
        try (Opened opened = new Opened()) {
            opened.gate.writeCompressed(0, ByteBuffer.wrap(noise));
        }
        judge(noise);
        String found = Host.run("qemu-img", "check", image().toString());
        assertTrue(found.contains(" 0.00% compressed"), found);
    }

    @Test
    void a_compressed_write_is_of_whole_clusters() throws Exception {
        create(options(16, "zlib"), 100_000);
        try (Opened opened = new Opened()) {
            assertEquals(1 << 16, opened.gate.compressedUnit());
            for (long[] wrong : new long[][] {{4096, 1 << 16}, {0, 4096}, {65536, 4096}}) {
                ByteBuffer source = ByteBuffer.allocate((int) wrong[1]);
                BlockException e =
                        assertThrows(
                                BlockException.class,
                                () -> opened.gate.writeCompressed(wrong[0], source));
                assertTrue(
                        e.kind() == Kind.INVALID || e.kind() == Kind.OUT_OF_RANGE, e.getMessage());
            }
        }
    }

    @Test
    void a_damaged_cluster_is_an_error_and_its_neighbours_are_not() throws Exception {
        int cluster = 1 << 16;
        byte[] disk = new byte[2 * cluster];
        Arrays.fill(disk, (byte) 7);
        create(options(16, "zlib"), disk.length);
        try (Opened opened = new Opened()) {
            opened.gate.writeCompressed(0, ByteBuffer.wrap(disk));
        }
        try (RandomAccessFile file = new RandomAccessFile(image().toFile(), "rw")) {
            file.seek(5L * cluster);
            file.write(new byte[] {-1, -1, -1, -1});
        }
        try (Opened opened = new Opened()) {
            ByteBuffer page = ByteBuffer.allocate(4096);
            BlockException e =
                    assertThrows(BlockException.class, () -> opened.gate.read(0, page.clear()));
            assertEquals(Kind.CORRUPT, e.kind());
            opened.gate.read(cluster, page.clear());
            assertEquals(ByteBuffer.wrap(disk, cluster, 4096), page.flip());
        }
    }

    private void judge(byte[] disk) throws Exception {
        Files.write(raw(), disk);
        Host.run("qemu-img", "check", image().toString());
        Host.run(
                "qemu-img",
                "compare",
                "-f",
                "raw",
                "-F",
                "qcow2",
                raw().toString(),
                image().toString());
    }

    private void create(String options, int bytes) throws Exception {
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                options,
                image().toString(),
                Integer.toString(bytes));
    }

    private static String options(int bits, String type) {
        return "cluster_size=%d,compression_type=%s".formatted(1 << bits, type);
    }

    /// Stretches that shrink, some that are alike throughout, and some that do not shrink.
    private byte[] disk(int bytes) {
        byte[] made = new byte[bytes];
        for (int at = 0; at < bytes; ) {
            int end = Math.min(bytes, at + 1 + random.nextInt(Math.min(bytes, 1 << 18)));
            int variety = random.nextInt(3) * random.nextInt(9);
            for (; at < end; at++) {
                made[at] = (byte) (random.nextInt() & ((1 << variety) - 1));
            }
        }
        return made;
    }

    private Path image() {
        return folder.resolve("disk.qcow2");
    }

    private Path raw() {
        return folder.resolve("disk.raw");
    }

    private final class Opened implements AutoCloseable {
        private final FileDevice file;
        private final Qcow2Device image;
        private final Gate gate;

        Opened() throws IOException {
            file = FileDevice.open(FileOptions.of(image()));
            image = Qcow2Device.open(new Gate(file), null, null, Qcow2Options.DEFAULTS, false);
            gate = new Gate(image);
        }

        @Override
        public void close() throws IOException {
            image.close();
            file.close();
        }
    }
}
