package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

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
import java.util.Arrays;
import java.util.Random;

/// External data files, raw ones too, with `qemu-img` as the judge.
class DataFileTest {
    private final Random random = new Random(Seeds.next("DataFileTest"));

    @TempDir private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"off", "on"})
    void images_with_any_mix_of_writes_are_what_qemu_finds_right(String raw) throws Exception {
        for (int turn = 0; turn < 16; turn++) {
            int bits = 9 + random.nextInt(13);
            boolean extended = bits >= 14 && random.nextBoolean();
            String options =
                    "cluster_size=%d,extended_l2=%s,data_file_raw=%s"
                            .formatted(1 << bits, extended ? "on" : "off", raw);
            byte[] disk = new byte[((1 + random.nextInt(12)) << bits) + 512 * random.nextInt(2)];
            create(options, disk.length);
            try (Opened opened = new Opened()) {
                for (int operation = 0; operation < 40; operation++) {
                    operate(opened.gate, disk, 1 << bits);
                }
                ByteBuffer seen = ByteBuffer.allocateDirect(disk.length);
                opened.gate.read(0, seen);
                assertEquals(ByteBuffer.wrap(disk), seen.flip(), options);
            }
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
            if (raw.equals("on")) {
                // QEMU too leaves a whole last cluster there.
                ByteBuffer there = ByteBuffer.wrap(Files.readAllBytes(data()));
                assertEquals(ByteBuffer.wrap(disk), there.limit(disk.length), options);
            }
        }
    }

    private void operate(Gate gate, byte[] disk, int cluster) throws BlockException {
        int offset = random.nextInt(disk.length);
        int length = 1 + random.nextInt(Math.min(disk.length - offset, 3 * cluster));
        byte[] bytes = new byte[length];
        switch (random.nextInt(5)) {
            case 0, 1 -> {
                random.nextBytes(bytes);
                gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            }
            case 2 -> gate.zero(offset, length, WriteFlag.UNMAP);
            case 3 -> {
                offset = offset / cluster * cluster;
                length = Math.min(disk.length - offset, cluster);
                bytes = new byte[length];
                gate.discard(offset, length);
            }
            default -> {
                gate.zero(offset, length, WriteFlag.NONE);
                gate.flush();
            }
        }
        System.arraycopy(bytes, 0, disk, offset, length);
    }

    @Test
    void what_is_discarded_reads_as_zeroes_and_is_released_if_asked() throws Exception {
        create("cluster_size=65536,data_file_raw=off", 1 << 20);
        byte[] full = new byte[1 << 20];
        Arrays.fill(full, (byte) 7);
        try (Opened opened = new Opened()) {
            opened.gate.write(0, ByteBuffer.wrap(full), WriteFlag.NONE);
            opened.gate.discard(65536, 65536);
            ByteBuffer page = ByteBuffer.allocate(4096);
            opened.gate.read(65536, page);
            assertEquals(ByteBuffer.allocate(4096), page.flip());
        }
        assertEquals(7, Files.readAllBytes(data())[65536], "released though nobody asked");
    }

    @Test
    void there_are_no_compressed_clusters() throws Exception {
        create("data_file_raw=off", 1 << 20);
        try (Opened opened = new Opened()) {
            assertEquals(0, opened.gate.compressedUnit());
            BlockException e =
                    assertThrows(
                            BlockException.class,
                            () -> opened.gate.writeCompressed(0, ByteBuffer.allocate(1 << 16)));
            assertEquals(Kind.UNSUPPORTED, e.kind());
        }
    }

    @Test
    void a_cluster_that_lies_elsewhere_than_the_guest_sees_it_is_corrupt() throws Exception {
        create("data_file_raw=on", 1 << 20);
        try (RandomAccessFile file = new RandomAccessFile(image().toFile(), "rw")) {
            file.seek(40);
            file.seek(file.readLong());
            file.seek((file.readLong() & 0x00ff_ffff_ffff_fe00L) + 3 * Long.BYTES);
            file.writeLong((1L << 63) | (5 << 16));
        }
        try (Opened opened = new Opened()) {
            ByteBuffer page = ByteBuffer.allocate(4096);
            opened.gate.read(2 << 16, page.clear());
            BlockException e =
                    assertThrows(
                            BlockException.class, () -> opened.gate.read(3 << 16, page.clear()));
            assertEquals(Kind.CORRUPT, e.kind());
        }
    }

    private void create(String options, int bytes) throws Exception {
        Files.deleteIfExists(data());
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                options + ",data_file=" + data(),
                image().toString(),
                Integer.toString(bytes));
    }

    private Path image() {
        return folder.resolve("disk.qcow2");
    }

    private Path data() {
        return folder.resolve("disk.data");
    }

    private Path raw() {
        return folder.resolve("disk.raw");
    }

    private final class Opened implements AutoCloseable {
        private final FileDevice file;
        private final FileDevice data;
        private final Qcow2Device image;
        private final Gate gate;

        Opened() throws IOException {
            file = FileDevice.open(FileOptions.of(image()));
            data = FileDevice.open(FileOptions.of(data()));
            image =
                    Qcow2Device.open(
                            new Gate(file), null, new Gate(data), Qcow2Options.DEFAULTS, false);
            gate = new Gate(image);
        }

        @Override
        public void close() throws IOException {
            image.close();
            file.close();
            data.close();
        }
    }
}
