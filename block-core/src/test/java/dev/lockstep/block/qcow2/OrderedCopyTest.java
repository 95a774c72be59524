package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.DeviceCopy;
import dev.lockstep.block.copy.Sink;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

/// Copies to images by many workers at once.
class OrderedCopyTest {
    private static final int SIZE = 4 << 20;

    private static final List<String> OPTIONS =
            List.of(
                    "cluster_size=65536",
                    "cluster_size=512",
                    "cluster_size=4096,compat=0.10",
                    "cluster_size=2097152",
                    "cluster_size=65536,extended_l2=on",
                    "cluster_size=4096,compression_type=zstd");

    @TempDir(factory = Folder.class)
    private Path folder;

    private final Random random = new Random(Seeds.next("OrderedCopyTest"));
    private final Gate source = new Gate(new MemoryDevice(SIZE));

    @Test
    void the_image_is_the_same_whatever_the_number_of_workers() throws Exception {
        scribble();
        byte[] disk = DiskModel.read(source, 0, SIZE);
        for (String options : OPTIONS) {
            for (boolean compressed : new boolean[] {false, true}) {
                boolean pressed = compressed && !options.contains("extended");
                byte[] one = copy(options, 1, pressed);
                byte[] many = copy(options, 16, pressed);
                assertArrayEquals(one, many, options);
                judge(disk, options);
            }
        }
    }

    @Test
    void a_full_image_lies_in_one_piece() throws Exception {
        for (int at = 0; at < SIZE; at += 1 << 16) {
            source.write(at, noise(1 << 16), WriteFlag.NONE);
        }
        copy("cluster_size=65536", 16, false);
        String told = Host.run("qemu-img", "check", folder.resolve("image").toString());
        assertTrue(told.contains("100.00% allocated, 0.00% fragmented"), told);
    }

    @Test
    void a_failure_in_the_middle_ends_those_who_wait_for_their_turn() throws Exception {
        scribble();
        Fault fault = Fault.error(Kind.NO_SPACE).on(Operation.WRITE).after(5);
        try (FileDevice file = FileDevice.open(FileOptions.of(create("cluster_size=65536")))) {
            Gate faulty = new Gate(new FaultDevice(new Gate(file), fault));
            Gate target =
                    new Gate(Qcow2Device.open(faulty, null, null, Qcow2Options.DEFAULTS, false));
            DeviceCopy copy = new DeviceCopy(source, target, SIZE, options(16));
            assertEquals(Kind.NO_SPACE, assertThrows(BlockException.class, copy::run).kind());
        }
    }

    private byte[] copy(String options, int workers, boolean compressed) throws Exception {
        Path image = create(options);
        try (FileDevice file = FileDevice.open(FileOptions.of(image));
                Qcow2Device device =
                        Qcow2Device.open(
                                new Gate(file), null, null, Qcow2Options.DEFAULTS, false)) {
            Gate target = new Gate(device);
            CopyOptions how = options(workers);
            how = compressed ? aligned(how, target.compressedUnit()) : how;
            Sink sink = compressed ? Sink.compressing(target, how) : Sink.of(target, how);
            new DeviceCopy(source, sink, SIZE, how).run();
        }
        return Files.readAllBytes(image);
    }

    private static CopyOptions options(int workers) {
        return new CopyOptions(1 << 18, workers, 4096, 1, true, true, false, false, false);
    }

    private static CopyOptions aligned(CopyOptions how, int unit) {
        return new CopyOptions(
                Math.max(how.requestBytes(), unit),
                how.workers(),
                unit,
                unit,
                true,
                true,
                false,
                false,
                false);
    }

    private Path create(String options) throws Exception {
        Path image = folder.resolve("image");
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                options,
                image.toString(),
                SIZE + "");
        return image;
    }

    private void judge(byte[] disk, String options) throws Exception {
        Path raw = folder.resolve("raw");
        String image = folder.resolve("image").toString();
        Host.run("qemu-img", "check", "-q", image);
        Host.run("qemu-img", "convert", "-O", "raw", image, raw.toString());
        assertArrayEquals(disk, Files.readAllBytes(raw), options);
    }

    /// Noise, text and zeroes.
    private void scribble() throws BlockException {
        for (int i = 0; i < 40; i++) {
            int length = 1 + random.nextInt(200_000);
            int offset = random.nextInt(SIZE - length);
            switch (random.nextInt(3)) {
                case 0 -> source.zero(offset, length, WriteFlag.UNMAP);
                case 1 -> source.write(offset, text(length), WriteFlag.NONE);
                default -> source.write(offset, noise(length), WriteFlag.NONE);
            }
        }
    }

    private ByteBuffer noise(int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return ByteBuffer.wrap(bytes);
    }

    private ByteBuffer text(int length) {
        return ByteBuffer.wrap(
                "lockstep ".repeat(length / 9 + 1).getBytes(StandardCharsets.UTF_8), 0, length);
    }
}
