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
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.check.Qcow2Checker;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

class SnapshotsTest {
    private static final Instant NOW = Instant.ofEpochSecond(1_700_000_000, 123_456_789);
    private static final int SIZE = 300 << 10;
    private static final int STEPS = 12;

    private static final List<String> OPTIONS =
            List.of(
                    "cluster_size=4096",
                    "cluster_size=512,compat=0.10",
                    "cluster_size=16384,extended_l2=on",
                    "cluster_size=1024,refcount_bits=32,compression_type=zstd",
                    "cluster_size=4096,lazy_refcounts=on",
                    "cluster_size=65536,refcount_bits=64");

    @TempDir(factory = Folder.class)
    private Path folder;

    /// What somebody does with a device.
    @FunctionalInterface
    private interface Work {
        void run(Qcow2Device device) throws Exception;
    }

    private static void with(Path path, Work work) throws Exception {
        try (FileDevice file = FileDevice.open(FileOptions.of(path))) {
            with(new Gate(file), work);
        }
    }

    private static void with(Gate file, Work work) throws Exception {
        try (Qcow2Device device =
                Qcow2Device.open(file, null, null, Qcow2Options.DEFAULTS, false)) {
            work.run(device);
        }
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

    /// What the disk and its snapshots hold.
    private static final class Model {
        byte[] disk = new byte[SIZE];
        final Map<String, byte[]> snapshots = new HashMap<>();

        byte[] snapshot(String name) {
            return Objects.requireNonNull(snapshots.get(name));
        }
    }

    private static void change(Qcow2Device device, Model model, Random random)
            throws BlockException {
        Gate gate = new Gate(device);
        for (int count = random.nextInt(6); count >= 0; count--) {
            int offset = random.nextInt(model.disk.length);
            int length = 1 + random.nextInt(Math.min(60_000, model.disk.length - offset));
            switch (random.nextInt(5)) {
                case 0 -> {
                    gate.zero(offset, length, WriteFlag.NONE);
                    Arrays.fill(model.disk, offset, offset + length, (byte) 0);
                }
                case 1 -> {
                    int start = offset & -(1 << 16);
                    int end = Math.min(model.disk.length, start + (1 << 16));
                    byte[] bytes = new byte[end - start];
                    Arrays.fill(bytes, (byte) random.nextInt());
                    device.writeCompressed(start, ByteBuffer.wrap(bytes));
                    System.arraycopy(bytes, 0, model.disk, start, bytes.length);
                }
                default -> {
                    byte[] bytes = new byte[length];
                    random.nextBytes(bytes);
                    gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                    System.arraycopy(bytes, 0, model.disk, offset, length);
                }
            }
        }
    }

    @Test
    void snapshots_hold_what_the_disk_held_and_qemu_agrees() throws Exception {
        Random random = new Random(Seeds.next("snapshots"));
        for (String options : OPTIONS) {
            Path image = create(options);
            Model model = new Model();
            for (int step = 0; step < STEPS; step++) {
                boolean ours = random.nextInt(3) > 0;
                String what = "%s step %d".formatted(options, step);
                with(image, device -> change(device, model, random));
                if (ours) {
                    with(image, device -> step(device, model, random));
                } else {
                    theirStep(image, model, random);
                }
                Peer.checkClean(what, image);
                with(image, device -> checkDisk(device, model, what));
            }
            for (Map.Entry<String, byte[]> snapshot : model.snapshots.entrySet()) {
                assertArrayEquals(snapshot.getValue(), theirView(image, snapshot.getKey()));
            }
            Files.delete(image);
        }
    }

    private static void checkDisk(Qcow2Device device, Model model, String what)
            throws BlockException {
        assertEquals(model.disk.length, device.size(), what);
        byte[] found = DiskModel.read(new Gate(device), 0, model.disk.length);
        assertArrayEquals(model.disk, found, what);
        assertEquals(
                model.snapshots.keySet(),
                new HashSet<>(device.snapshots().stream().map(SnapshotEntry::name).toList()));
    }

    private static void step(Qcow2Device device, Model model, Random random) throws Exception {
        List<SnapshotEntry> before = device.snapshots();
        int choice = before.isEmpty() ? 0 : random.nextInt(4);
        if (choice <= 1) {
            SnapshotEntry made = device.createSnapshot("s" + random.nextInt(1 << 30), NOW);
            model.snapshots.put(made.name(), model.disk.clone());
        } else {
            String name = before.get(random.nextInt(before.size())).name();
            if (choice == 2) {
                device.applySnapshot(name);
                model.disk = model.snapshot(name).clone();
            } else {
                device.deleteSnapshot(name);
                model.snapshots.remove(name);
            }
        }
        // The tables in memory are as they should be, too.
        change(device, model, random);
        assertArrayEquals(model.disk, DiskModel.read(new Gate(device), 0, model.disk.length));
    }

    private static void theirStep(Path image, Model model, Random random) throws Exception {
        List<String> names = new ArrayList<>(model.snapshots.keySet());
        int choice = names.isEmpty() ? 0 : random.nextInt(3);
        String name =
                choice == 0
                        ? "q" + random.nextInt(1 << 30)
                        : names.get(random.nextInt(names.size()));
        String flag = List.of("-c", "-a", "-d").get(choice);
        Host.run("qemu-img", "snapshot", flag, name, image.toString());
        switch (choice) {
            case 0 -> model.snapshots.put(name, model.disk.clone());
            case 1 -> model.disk = model.snapshot(name).clone();
            default -> model.snapshots.remove(name);
        }
    }

    private byte[] theirView(Path image, String name) throws Exception {
        Path raw = folder.resolve("view");
        Host.run(
                "qemu-img",
                "convert",
                "-l",
                "snapshot.name=" + name,
                "-O",
                "raw",
                image.toString(),
                raw.toString());
        return Files.readAllBytes(raw);
    }

    @Test
    void an_id_is_looked_for_before_a_name() throws Exception {
        Path image = create("cluster_size=4096");
        with(
                image,
                device -> {
                    assertEquals("1", device.createSnapshot("2", NOW).id());
                    assertEquals("2", device.createSnapshot("b", NOW).id());
                    assertEquals("b", device.deleteSnapshot("2").name());
                    BlockException e =
                            assertThrows(BlockException.class, () -> device.applySnapshot("x"));
                    assertEquals(Kind.INVALID, e.kind());
                    SnapshotEntry left = device.snapshots().getFirst();
                    assertEquals(NOW.getEpochSecond(), left.dateSeconds());
                    assertEquals(SIZE, left.diskBytes().orElseThrow());
                });
        assertTrue(Host.run("qemu-img", "snapshot", "-l", image.toString()).contains("2023-11-1"));
    }

    @Test
    void a_refcount_that_is_too_narrow_is_an_error_and_changes_nothing() throws Exception {
        Path image = create("cluster_size=4096,refcount_bits=1");
        byte[] bytes = new byte[20_000];
        new Random(1).nextBytes(bytes);
        with(
                image,
                device -> {
                    new Gate(device).write(0, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                    BlockException e =
                            assertThrows(
                                    BlockException.class, () -> device.createSnapshot("a", NOW));
                    assertEquals(Kind.NO_SPACE, e.kind());
                    assertEquals(List.of(), device.snapshots());
                    assertArrayEquals(bytes, DiskModel.read(new Gate(device), 0, bytes.length));
                });
        Peer.checkClean("after it failed", image);
    }

    @Test
    void the_length_of_the_disk_comes_back_with_the_snapshot() throws Exception {
        Path image = create("cluster_size=4096");
        with(
                image,
                device -> {
                    Gate gate = new Gate(device);
                    gate.write(0, ByteBuffer.wrap(new byte[] {1, 2, 3}), WriteFlag.NONE);
                    device.createSnapshot("short", NOW);
                    gate.resize(8 << 20);
                    gate.write(
                            (8 << 20) - 3, ByteBuffer.wrap(new byte[] {4, 5, 6}), WriteFlag.NONE);
                    device.createSnapshot("long", NOW);
                    device.applySnapshot("short");
                    assertEquals(SIZE, device.size());
                    device.applySnapshot("long");
                    assertEquals(8 << 20, device.size());
                    gate.remeasure();
                    assertArrayEquals(new byte[] {4, 5, 6}, DiskModel.read(gate, (8 << 20) - 3, 3));
                });
        Peer.checkClean("both lengths", image);
    }

    @Test
    void a_crash_leaves_the_disk_as_it_was_or_as_it_was_to_be() throws Exception {
        Random random = new Random(Seeds.next("crashes around snapshots"));
        for (String options : OPTIONS.subList(0, 5)) {
            for (int operation = 0; operation < 3; operation++) {
                Path image = create(options);
                Model model = new Model();
                with(
                        image,
                        device -> {
                            change(device, model, random);
                            device.createSnapshot("one", NOW);
                            model.snapshots.put("one", model.disk.clone());
                            change(device, model, random);
                        });
                crash(Files.readAllBytes(image), model, operation, random, options);
                Files.delete(image);
            }
        }
    }

    private static void crash(
            byte[] image, Model model, int operation, Random random, String options)
            throws Exception {
        RecordingDevice recorded = new RecordingDevice(image);
        Work work =
                switch (operation) {
                    case 0 -> device -> device.createSnapshot("two", NOW);
                    case 1 -> device -> device.applySnapshot("one");
                    default -> device -> device.deleteSnapshot("one");
                };
        with(new Gate(recorded), work);
        byte[] applied = operation == 1 ? model.snapshot("one") : model.disk;
        new CrashStates(recorded)
                .judgeEach(
                        random,
                        30,
                        state -> {
                            Gate left = new Gate(new RecordingDevice(state.contents()));
                            String what = options + " " + operation + " " + state.choice();
                            with(
                                    left,
                                    device -> {
                                        byte[] found = DiskModel.read(new Gate(device), 0, SIZE);
                                        boolean either =
                                                Arrays.equals(model.disk, found)
                                                        || Arrays.equals(applied, found);
                                        assertTrue(either, what);
                                    });
                            if (!options.contains("0.10")) {
                                CheckResult result = Qcow2Checker.check(left, Repair.NONE, _ -> {});
                                assertTrue(result.isSound(), what);
                            }
                            assertTrue(Qcow2Checker.check(left, Repair.ALL, _ -> {}).isClean());
                        });
    }
}
