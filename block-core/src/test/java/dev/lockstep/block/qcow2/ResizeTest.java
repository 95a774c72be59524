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
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.qcow2.check.Qcow2Checker;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

class ResizeTest {
    private static final int SIZE = 128 << 10;
    private static final int SIZE_MAX = 1 << 20;

    private static final List<String> OPTIONS =
            List.of(
                    "cluster_size=512",
                    "cluster_size=512,compat=0.10",
                    "cluster_size=4096,refcount_bits=1",
                    "cluster_size=16384,extended_l2=on",
                    "cluster_size=65536,lazy_refcounts=on");

    @TempDir(factory = Folder.class)
    private Path folder;

    private byte[] create(String options, int size) throws Exception {
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
                size + "");
        return Files.readAllBytes(image);
    }

    private static Qcow2Device open(RecordingDevice file, @Nullable Gate backing)
            throws BlockException {
        return Qcow2Device.open(new Gate(file), backing, null, Qcow2Options.DEFAULTS, false);
    }

    @Test
    void what_is_kept_stays_and_what_is_new_is_zero_also_over_a_backing_file() throws Exception {
        Random random = new Random(Seeds.next("resizing"));
        byte[] below = new byte[SIZE_MAX / 2];
        random.nextBytes(below);
        Gate backing = new Gate(new MemoryDevice(below.length));
        backing.write(0, ByteBuffer.wrap(below), WriteFlag.NONE);
        for (String options : OPTIONS) {
            for (boolean over : new boolean[] {false, true}) {
                RecordingDevice file = new RecordingDevice(create(options, SIZE));
                byte[] model = over ? Arrays.copyOf(below, SIZE) : new byte[SIZE];
                for (int step = 0; step < 8; step++) {
                    try (Qcow2Device device = open(file, over ? backing : null)) {
                        Gate gate = new Gate(device);
                        int offset = random.nextInt(Math.max(1, model.length - 5000));
                        byte[] bytes = new byte[Math.min(5000, model.length - offset)];
                        random.nextBytes(bytes);
                        gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                        System.arraycopy(bytes, 0, model, offset, bytes.length);
                        int length = random.nextInt(SIZE_MAX) & -512;
                        gate.resize(length);
                        model = Arrays.copyOf(model, length);
                        assertEquals(length, gate.size());
                        assertArrayEquals(model, DiskModel.read(gate, 0, length), options);
                    }
                    Path image = folder.resolve("image");
                    Files.write(image, file.contents());
                    Peer.checkClean(options, image);
                }
            }
        }
    }

    @Test
    void a_length_that_is_not_possible_is_refused() throws Exception {
        RecordingDevice file = new RecordingDevice(create("cluster_size=512", SIZE));
        try (Qcow2Device device = open(file, null)) {
            assertKind(Kind.INVALID, () -> device.resize(1000));
            assertKind(Kind.INVALID, () -> device.resize(1L << 60));
            assertEquals(SIZE, device.size());
        }
    }

    private static void assertKind(Kind kind, Executable executable) {
        assertEquals(kind, assertThrows(BlockException.class, executable).kind());
    }

    @Test
    void a_crash_leaves_one_length_or_the_other() throws Exception {
        Random random = new Random(Seeds.next("crashes while resizing"));
        for (String options : OPTIONS) {
            for (int length : new int[] {SIZE / 4 + 512, SIZE_MAX}) {
                RecordingDevice before = new RecordingDevice(create(options, SIZE));
                byte[] content = new byte[SIZE];
                random.nextBytes(content);
                try (Qcow2Device device = open(before, null)) {
                    new Gate(device).write(0, ByteBuffer.wrap(content), WriteFlag.NONE);
                }
                RecordingDevice file = new RecordingDevice(before.contents());
                try (Qcow2Device device = open(file, null)) {
                    device.resize(length);
                }
                new CrashStates(file)
                        .judgeEach(
                                random,
                                30,
                                state -> {
                                    RecordingDevice left = new RecordingDevice(state.contents());
                                    int kept = Math.min(length, SIZE);
                                    try (Qcow2Device device = open(left, null)) {
                                        Gate gate = new Gate(device);
                                        assertTrue(gate.size() == SIZE || gate.size() == length);
                                        assertArrayEquals(
                                                Arrays.copyOf(content, kept),
                                                DiskModel.read(gate, 0, kept),
                                                state.choice());
                                    }
                                    assertTrue(
                                            Qcow2Checker.check(new Gate(left), Repair.NONE, _ -> {})
                                                    .isSound());
                                });
            }
        }
    }
}
