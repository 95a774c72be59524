package dev.lockstep.block.qcow2.check;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
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
import dev.lockstep.block.qcow2.layout.Header;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class Qcow2CheckerTest {
    private static final int ROUNDS = Integer.getInteger("lockstep.check.rounds", 40);

    @TempDir private Path directory;

    /// What a check says about an image as a whole; the constants are in the order of severity.
    private enum Verdict {
        CLEAN(0),
        LEAKS(3),
        CORRUPT(2),
        UNREADABLE(1);

        private final int status;

        Verdict(int status) {
            this.status = status;
        }

        static Verdict of(CheckResult result) {
            return result.isClean() ? CLEAN : result.isSound() ? LEAKS : CORRUPT;
        }

        static Verdict of(Host.Outcome qemu) {
            for (Verdict verdict : values()) {
                if (verdict.status == qemu.status()) {
                    return verdict;
                }
            }
            throw new AssertionError(qemu);
        }
    }

    private static CheckResult check(RecordingDevice device, Repair repair, List<String> findings)
            throws BlockException {
        return Qcow2Checker.check(new Gate(device), repair, findings::add, 256 << 20);
    }

    private Host.Outcome qemu(byte[] image) throws Exception {
        Path path = directory.resolve("judged");
        Files.write(path, image);
        return Host.outcome("qemu-img", "check", "--output=json", "-f", "qcow2", path.toString());
    }

    private static long number(Host.Outcome outcome, String key) {
        Matcher matcher = Pattern.compile("\"" + key + "\": (\\d+)").matcher(outcome.output());
        return matcher.find() ? Long.parseLong(matcher.group(1)) : 0;
    }

    @Test
    void a_sound_image_is_described_as_qemu_img_describes_it() throws Exception {
        Random random = new Random(Seeds.next("sound images"));
        for (int round = 0; round < 20; round++) {
            Path path = directory.resolve("sound");
            String options = PeerImages.create(path, random);
            byte[] image = Files.readAllBytes(path);
            List<String> findings = new ArrayList<>();
            CheckResult ours = check(new RecordingDevice(image), Repair.NONE, findings);
            Host.Outcome theirs = qemu(image);
            assertEquals(List.of(), findings, options);
            assertTrue(ours.isClean(), options);
            assertEquals(number(theirs, "image-end-offset"), ours.imageEndOffset(), options);
            assertEquals(number(theirs, "total-clusters"), ours.totalClusters(), options);
            assertEquals(number(theirs, "allocated-clusters"), ours.allocatedClusters(), options);
            assertEquals(number(theirs, "fragmented-clusters"), ours.fragmentedClusters(), options);
            assertEquals(number(theirs, "compressed-clusters"), ours.compressedClusters(), options);
            Files.delete(path);
        }
    }

    @Test
    void a_damaged_image_is_judged_as_qemu_img_judges_it_and_repaired_to_its_content()
            throws Exception {
        Random random = new Random(Seeds.next("damaged images"));
        int repaired = 0;
        int corrupt = 0;
        for (int round = 0; round < ROUNDS; round++) {
            Path path = directory.resolve("damaged");
            String options = PeerImages.create(path, random);
            byte[] sound = Files.readAllBytes(path);
            Files.delete(path);
            for (int damage = 0; damage < 4; damage++) {
                byte[] image = Damage.of(sound, random);
                List<String> findings = new ArrayList<>();
                Host.Outcome theirs = qemu(image);
                Verdict ours = judge(image, findings);
                String what =
                        "%s round %d.%d: %s %s".formatted(options, round, damage, findings, theirs);
                assertSameVerdict(Verdict.of(theirs), ours, what);
                if (ours == Verdict.LEAKS || ours == Verdict.CORRUPT) {
                    corrupt++;
                    repaired += repair(image, what) ? 1 : 0;
                }
            }
        }
        assertTrue(repaired > corrupt * 9 / 10, "%d of %d".formatted(repaired, corrupt));
    }

    private static Verdict judge(byte[] image, List<String> findings) {
        try {
            return Verdict.of(check(new RecordingDevice(image), Repair.NONE, findings));
        } catch (BlockException e) {
            findings.add(e.getMessage());
            return Verdict.UNREADABLE;
        }
    }

    /// Where QEMU's check gives up in the middle, ours goes on to the end. It does not look at the
    /// lowest bit of extended entries, which is reserved.
    private static void assertSameVerdict(Verdict theirs, Verdict ours, String what) {
        if (theirs == Verdict.UNREADABLE) {
            assertTrue(ours == Verdict.CORRUPT || ours == Verdict.UNREADABLE, what);
        } else if (theirs != ours && what.contains("extended_l2=on")) {
            assertTrue(what.matches("(?s).*has reserved bits set: 0x1[\\],].*"), what);
        } else {
            assertEquals(theirs, ours, what);
        }
    }

    /// @return whether the image is sound after that; QEMU must agree
    private boolean repair(byte[] image, String what) throws Exception {
        RecordingDevice device = new RecordingDevice(image);
        CheckResult result = check(device, Repair.ALL, new ArrayList<>());
        if (result.isClean()) {
            byte[] after = device.contents();
            Host.Outcome theirs = qemu(after);
            assertEquals(0, theirs.status(), () -> what + "\nafter the repair: " + theirs);
            byte @Nullable [] before = guest(image);
            // What showed the guest refcounts or a table shows something else after its repair.
            if (what.contains("in use for something else") || sharesTable(image, what)) {
                before = null;
            }
            if (before != null) {
                assertArrayEquals(before, guest(after), what);
            }
        }
        return result.isClean();
    }

    /// Whether something of what was found is about a cluster that is a table.
    private static boolean sharesTable(byte[] image, String found) throws BlockException {
        int clusterBytes = Header.clusterBytes(ByteBuffer.wrap(image), "image");
        return Damage.tables(image).stream()
                .anyMatch(table -> found.contains("cluster %d:".formatted(table / clusterBytes)));
    }

    /// What the guest sees according to QEMU, or null if it cannot read it.
    private byte @Nullable [] guest(byte[] image) throws Exception {
        Path path = directory.resolve("seen");
        Path raw = directory.resolve("seen.raw");
        Files.write(path, image);
        Host.Outcome outcome =
                Host.outcome(
                        "qemu-img",
                        "convert",
                        "-f",
                        "qcow2",
                        "-O",
                        "raw",
                        path.toString(),
                        raw.toString());
        return outcome.status() == 0 ? Files.readAllBytes(raw) : null;
    }

    @Test
    void leaks_alone_are_repaired_without_touching_anything_else() throws Exception {
        Random random = new Random(Seeds.next("leaks"));
        Path path = directory.resolve("leaking");
        PeerImages.create(path, random);
        byte[] image = Files.readAllBytes(path);
        Header header = Header.parse(ByteBuffer.wrap(image), image.length, "image");
        ByteBuffer bytes = ByteBuffer.wrap(image);
        int l1 = (int) header.l1Offset();
        while (bytes.getLong(l1) == 0) {
            l1 += Long.BYTES; // there is data somewhere
        }
        bytes.putLong(l1, 0);
        RecordingDevice device = new RecordingDevice(image);
        CheckResult before = check(device, Repair.NONE, new ArrayList<>());
        CheckResult after = check(device, Repair.LEAKS, new ArrayList<>());
        assertTrue(before.leaks() > 0);
        assertEquals(before.leaks(), after.leaksFixed());
        assertTrue(after.isClean());
        assertEquals(0, qemu(device.contents()).status());
    }

    @Test
    void a_crash_while_an_image_is_repaired_makes_nothing_worse() throws Exception {
        Random random = new Random(Seeds.next("crashes while an image is repaired"));
        for (int round = 0; round < 10; round++) {
            Path path = directory.resolve("crashing");
            PeerImages.create(path, random);
            byte[] image = Damage.of(Files.readAllBytes(path), random);
            Files.delete(path);
            RecordingDevice device = new RecordingDevice(image);
            if (judge(image, new ArrayList<>()) == Verdict.UNREADABLE
                    || !check(device, Repair.ALL, new ArrayList<>()).isClean()) {
                continue;
            }
            byte @Nullable [] repaired = guest(device.contents());
            long states =
                    new CrashStates(device)
                            .judgeEach(
                                    random,
                                    60,
                                    state -> {
                                        RecordingDevice left =
                                                new RecordingDevice(state.contents());
                                        CheckResult again =
                                                check(left, Repair.ALL, new ArrayList<>());
                                        assertTrue(again.isClean(), state.choice());
                                        if (random.nextInt(10) == 0) {
                                            assertArrayEquals(repaired, guest(left.contents()));
                                        }
                                    });
            assertTrue(states > 0);
        }
    }

    @Test
    void a_repaired_image_is_neither_dirty_nor_corrupt() throws Exception {
        Path path = directory.resolve("marked");
        Host.run("qemu-img", "create", "-q", "-f", "qcow2", path.toString(), "1M");
        byte[] image = Files.readAllBytes(path);
        ByteBuffer.wrap(image).putLong(72, 3);
        RecordingDevice device = new RecordingDevice(image);
        assertTrue(check(device, Repair.NONE, new ArrayList<>()).isClean());
        assertEquals(3, ByteBuffer.wrap(device.contents()).getLong(72));
        assertTrue(check(device, Repair.LEAKS, new ArrayList<>()).isClean());
        assertEquals(0, ByteBuffer.wrap(device.contents()).getLong(72));
    }

    @Test
    void thousands_of_references_to_the_same_tables_cost_no_more_than_one() throws Exception {
        Path path = directory.resolve("hostile");
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "cluster_size=2M",
                path.toString(),
                "1T");
        try (FileDevice file = FileDevice.open(FileOptions.of(path))) {
            Gate gate = new Gate(file);
            int clusterBytes = 2 << 20;
            long end = Math.ceilDiv(gate.size(), (long) clusterBytes) * clusterBytes;
            long table = end;
            long l2 = table + 2L * clusterBytes;
            gate.resize(l2 + clusterBytes);
            ByteBuffer snapshots = ByteBuffer.allocate(40 * Header.SNAPSHOTS_MAX);
            for (int index = 0; index < Header.SNAPSHOTS_MAX; index++) {
                snapshots.putLong(index * 40, l2).putInt(index * 40 + 8, clusterBytes / 8);
            }
            gate.write(table, snapshots, WriteFlag.NONE);
            ByteBuffer words = ByteBuffer.allocate(clusterBytes);
            while (words.hasRemaining()) {
                words.putLong(l2);
            }
            gate.write(l2, words.flip(), WriteFlag.NONE);
            ByteBuffer head = ByteBuffer.allocate(clusterBytes);
            gate.read(0, head);
            Header header = Header.parse(head.flip(), gate.size(), "image");
            gate.write(
                    0, header.withSnapshots(table, Header.SNAPSHOTS_MAX).encode(), WriteFlag.NONE);
            long start = System.nanoTime();
            CheckResult result = Qcow2Checker.check(gate, Repair.NONE, _ -> {});
            assertTrue(result.corruptions() > 0);
            assertTrue(System.nanoTime() - start < 20_000_000_000L);
        }
    }

    @Test
    void memory_is_bounded() throws Exception {
        Path path = directory.resolve("wide");
        Host.run("qemu-img", "create", "-q", "-f", "qcow2", path.toString(), "64G");
        try (FileDevice file = FileDevice.open(FileOptions.of(path))) {
            Gate gate = new Gate(file);
            ByteBuffer head = ByteBuffer.allocate(1 << 16);
            gate.read(0, head);
            Header header = Header.parse(head.flip(), gate.size(), "image");
            ByteBuffer words = ByteBuffer.allocate(header.l1Entries() * Long.BYTES);
            for (int index = 0; index < header.l1Entries(); index++) {
                words.putLong((1L << 32) * index + (1 << 20));
            }
            gate.write(header.l1Offset(), words.flip(), WriteFlag.NONE);
            gate.resize(1L << 41);
            BlockException e =
                    assertThrows(
                            BlockException.class,
                            () -> Qcow2Checker.check(gate, Repair.NONE, _ -> {}, 100 << 10));
            assertEquals(Kind.NO_MEMORY, e.kind());
            assertTrue(Qcow2Checker.check(gate, Repair.NONE, _ -> {}, 10 << 20).corruptions() > 0);
        }
    }
}
