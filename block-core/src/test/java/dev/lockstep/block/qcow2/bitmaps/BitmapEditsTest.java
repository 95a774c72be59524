package dev.lockstep.block.qcow2.bitmaps;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.Qcow2Options;
import dev.lockstep.block.qcow2.check.Qcow2Checker;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/// The same edits of bitmaps by ours and by qemu-img, on two images that were made alike.
///
/// The property `lockstep.proof.seconds` says for how long.
class BitmapEditsTest {
    private static final Duration LIMIT =
            Duration.ofSeconds(Integer.getInteger("lockstep.proof.seconds", 4));

    private static final List<String> NAMES = List.of("a", "b", "c", "\u00e4\u00f6");
    private static final int SECTOR_BYTES = 512;

    @TempDir(factory = Folder.class)
    private Path folder;

    @Test
    void random_edits_end_as_with_qemu_img() throws Exception {
        Random seeds = new Random(Seeds.next("BitmapEditsTest"));
        long end = System.nanoTime() + LIMIT.toNanos();
        int rounds = 0;
        for (; rounds == 0 || System.nanoTime() < end; rounds++) {
            long seed = seeds.nextLong();
            List<String> done = new ArrayList<>();
            try {
                round(new Random(seed), done);
            } catch (AssertionError | Exception e) {
                throw new AssertionError("seed %d: %s".formatted(seed, done), e);
            }
        }
        System.out.println("BitmapEditsTest: %d images".formatted(rounds));
    }

    /// Of bitmaps that recorded, a crash may leave that they are not to be believed.
    @Test
    void a_crash_leaves_the_bitmaps_before_the_edits_or_after_them() throws Exception {
        Random random = new Random(Seeds.next("crashes around edits of bitmaps"));
        for (int cluster : new int[] {512, 65536}) {
            Path image = folder.resolve("crash.qcow2");
            create(image, cluster, 1 << 20);
            RecordingDevice before = new RecordingDevice(Files.readAllBytes(image));
            try (Qcow2Device device = open(before)) {
                device.bitmaps().add("on", 512);
                device.bitmaps().add("off", 1024);
                device.bitmaps().enable("off", false);
                device.write(0, ByteBuffer.allocate(100_000), WriteFlag.NONE);
            }
            RecordingDevice file = new RecordingDevice(before.contents());
            try (Qcow2Device device = open(file)) {
                device.bitmaps().merge("off", device.bitmaps().all().getFirst(), device.size());
                device.bitmaps().remove("on");
                device.bitmaps().add("new", 4096);
            }
            List<String> possible =
                    List.of(
                            "off 0 true, on 196 true",
                            "off 0 true, on 0 false",
                            "new 0 true, off 98 true");
            new CrashStates(file)
                    .judgeEach(
                            random,
                            60,
                            state -> {
                                RecordingDevice left = new RecordingDevice(state.contents());
                                String found = bitmaps(left);
                                assertTrue(possible.contains(found), found);
                                CheckResult result =
                                        Qcow2Checker.check(new Gate(left), Repair.NONE, _ -> {});
                                assertTrue(result.isSound(), state.choice());
                            });
            assertEquals(possible.getLast(), bitmaps(file));
        }
    }

    private static Qcow2Device open(RecordingDevice file) throws BlockException {
        return Qcow2Device.open(new Gate(file), null, null, Qcow2Options.DEFAULTS, false);
    }

    /// Names, how many bits are set, and whether they can be believed.
    private static String bitmaps(RecordingDevice file) throws BlockException {
        HostFile host = HostFile.ofImage(new Gate(file));
        List<String> found = new ArrayList<>();
        for (PersistentBitmap each :
                ImageBitmaps.read(host, Qcow2Device.header(new Gate(file)), false).all()) {
            boolean sound = each.isConsistent();
            found.add("%s %d %s".formatted(each.name(), sound ? each.bits().count() : 0, sound));
        }
        Collections.sort(found);
        return String.join(", ", found);
    }

    private void round(Random random, List<String> done) throws Exception {
        Path ours = folder.resolve("ours.qcow2");
        Path theirs = folder.resolve("theirs.qcow2");
        Path other = folder.resolve("other.qcow2");
        int cluster = 1 << (9 + random.nextInt(9));
        int size = (1 + random.nextInt(3000)) * SECTOR_BYTES;
        for (Path image : List.of(ours, theirs, other)) {
            create(image, cluster, size);
        }
        Host.run("qemu-img", "bitmap", "--add", "-g", "1024", other.toString(), "a");
        qemuIo(other, "write 0 %d".formatted(1 + random.nextInt(size)));
        for (int step = 0; step < 8; step++) {
            switch (random.nextInt(4)) {
                case 0 -> size = resize(random, ours, theirs, done);
                case 1 -> write(random, size, ours, theirs, done);
                default -> edit(random, ours, theirs, other, done);
            }
            compare(ours, theirs);
        }
        // Each goes on with what the other has written.
        edit(random, theirs, ours, other, done);
        compare(theirs, ours);
    }

    private static void create(Path image, int cluster, int size) throws Exception {
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "cluster_size=" + cluster,
                image.toString(),
                Integer.toString(size));
    }

    private static void qemuIo(Path image, String command) throws Exception {
        Host.run("qemu-io", "-f", "qcow2", "-c", command, image.toString());
    }

    private static int resize(Random random, Path ours, Path theirs, List<String> done)
            throws Exception {
        int size = (1 + random.nextInt(3000)) * SECTOR_BYTES;
        done.add("resize " + size);
        try (Disk disk = Disk.open(ours, false)) {
            disk.gate().resize(size);
        }
        Host.run(
                "qemu-img",
                "resize",
                "-q",
                "--shrink",
                "-f",
                "qcow2",
                theirs.toString(),
                Integer.toString(size));
        return size;
    }

    private static void write(Random random, int size, Path ours, Path theirs, List<String> done)
            throws Exception {
        int offset = random.nextInt(size);
        int length = 1 + random.nextInt(Math.min(size - offset, 100_000));
        done.add("write %d %d".formatted(offset, length));
        try (Disk disk = Disk.open(ours, false)) {
            disk.gate().write(offset, ByteBuffer.allocate(length), WriteFlag.NONE);
        }
        qemuIo(theirs, "write -P 0 %d %d".formatted(offset, length));
    }

    /// Several actions at once, until one of them fails.
    private static void edit(Random random, Path ours, Path theirs, Path other, List<String> done)
            throws Exception {
        String name = NAMES.get(random.nextInt(NAMES.size()));
        boolean elsewhere = random.nextInt(3) == 0;
        List<String> actions = new ArrayList<>();
        for (int count = 1 + random.nextInt(4); count > 0; count--) {
            actions.add(
                    switch (random.nextInt(elsewhere ? 7 : 6)) {
                        case 0, 1 -> "--add";
                        case 2 -> random.nextBoolean() ? "--remove" : "--clear";
                        case 3 -> "--disable";
                        case 4 -> "--enable";
                        default -> "--merge";
                    });
        }
        String source = elsewhere ? "a" : NAMES.get(random.nextInt(NAMES.size()));
        long granularity =
                actions.contains("--add") && random.nextBoolean()
                        ? SECTOR_BYTES << random.nextInt(8)
                        : 0;
        done.add("%s %s %d %s %s".formatted(actions, name, granularity, source, elsewhere));
        List<String> command = new ArrayList<>(List.of("qemu-img", "bitmap", "-f", "qcow2"));
        for (String action : actions) {
            command.add(action);
            if (action.equals("--merge")) {
                command.add(source);
            }
        }
        if (granularity > 0) {
            command.addAll(List.of("-g", Long.toString(granularity)));
        }
        if (elsewhere && actions.contains("--merge")) {
            command.addAll(List.of("-b", other.toString(), "-F", "qcow2"));
        }
        command.addAll(List.of(theirs.toString(), name));
        Host.Outcome outcome = Host.outcome(command.toArray(String[]::new));
        boolean possible = editOurs(ours, other, elsewhere, actions, name, granularity, source);
        assertEquals(outcome.status() == 0, possible, outcome.output());
    }

    private static boolean editOurs(
            Path image,
            Path other,
            boolean elsewhere,
            List<String> actions,
            String name,
            long granularity,
            String source)
            throws Exception {
        try (Disk disk = Disk.open(image, false);
                Disk second = Disk.open(other, true)) {
            ImageBitmaps bitmaps = disk.device.bitmaps();
            Qcow2Device from = elsewhere ? second.device : disk.device;
            for (String action : actions) {
                switch (action) {
                    case "--add" -> bitmaps.add(name, granularity);
                    case "--remove" -> bitmaps.remove(name);
                    case "--clear" -> bitmaps.clear(name);
                    case "--enable" -> bitmaps.enable(name, true);
                    case "--disable" -> bitmaps.enable(name, false);
                    default -> {
                        PersistentBitmap found = from.bitmaps().find(source);
                        if (found == null) {
                            return false;
                        }
                        bitmaps.merge(name, found, from.size());
                    }
                }
            }
            return true;
        } catch (BlockException e) {
            assertEquals(BlockException.Kind.INVALID, e.kind(), e::getMessage);
            return false;
        }
    }

    private static void compare(Path ours, Path theirs) throws Exception {
        for (Path image : List.of(ours, theirs)) {
            Host.Outcome check = Host.outcome("qemu-img", "check", image.toString());
            assertEquals(0, check.status(), check.output());
        }
        assertEquals(facts(theirs), facts(ours));
        assertEquals(dirty(theirs), dirty(ours));
    }

    /// What qemu-img says of an image, but for the lengths of its name and file.
    private static String facts(Path image) throws Exception {
        String info = Host.run("qemu-img", "info", "--output=json", image.toString());
        return info.replaceAll("\"(filename|actual-size)\": [^,]*,", "");
    }

    /// Offset and length of each range that a bitmap marks.
    private static Map<String, List<String>> dirty(Path image) throws BlockException {
        Map<String, List<String>> all = new TreeMap<>();
        try (Disk disk = Disk.open(image, true)) {
            for (PersistentBitmap bitmap : disk.device.bitmaps().all()) {
                List<String> ranges = new ArrayList<>();
                for (long at = bitmap.bits().nextSet(0); at < bitmap.bits().size(); ) {
                    long end = bitmap.bits().nextClear(at);
                    ranges.add(at + "+" + (end - at));
                    at = bitmap.bits().nextSet(end);
                }
                all.put(bitmap.name(), ranges);
            }
        }
        return all;
    }

    /// An image that is open.
    private record Disk(FileDevice file, Qcow2Device device) implements AutoCloseable {
        static Disk open(Path image, boolean readOnly) throws BlockException {
            FileOptions options = FileOptions.of(image);
            FileDevice file = FileDevice.open(readOnly ? options.asReadOnly() : options);
            Gate gate = readOnly ? Gate.readOnly(file) : new Gate(file);
            return new Disk(
                    file, Qcow2Device.open(gate, null, null, Qcow2Options.DEFAULTS, readOnly));
        }

        Gate gate() {
            return new Gate(device);
        }

        @Override
        public void close() throws BlockException {
            try {
                device.close();
            } finally {
                file.close();
            }
        }
    }
}
