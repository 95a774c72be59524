package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.ImageChanges.Kind;
import dev.lockstep.block.qcow2.Recipe.Below;
import dev.lockstep.block.qcow2.bitmaps.ImageBitmaps;
import dev.lockstep.block.qcow2.bitmaps.PersistentBitmap;
import dev.lockstep.block.qcow2.check.Qcow2Checker;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;

/// Whatever subset of the sectors written since the last sync survives a power cut, the image
/// opens, holds what was flushed, and at worst has leaked clusters or is marked as dirty and
/// repairs.
///
/// Random histories are recorded below the image, every disk that a crash may have left is judged
/// by ours, and some by `qemu-img check`. The property `lockstep.proof.seconds` says for how long.
class CrashProofTest {
    private static final Duration LIMIT =
            Duration.ofSeconds(Integer.getInteger("lockstep.proof.seconds", 20));

    /// So that one that does not end is a failure; it takes less than a second.
    private static final Duration HISTORY_MAX = Duration.ofMinutes(2);

    /// Between two syncs, at most.
    private static final int STATES_MAX = 40;

    /// One state in so many is shown to qemu-img too, which takes as long as hundreds of ours.
    private static final int PEER_EVERY = 40;

    /// The same while such a state is repaired.
    private static final int REPAIR_STATES_MAX = 8;

    /// Of so many states that are repaired one is interrupted in that, at every point.
    private static final int REPAIRS_EVERY = 50;

    private static final String SNAPSHOT = "snapshot";
    private static final String BITMAP = "bitmap";

    /// An image, what is in it before the history begins, how many write at once, and what is done
    /// to it as a whole meanwhile.
    private record Scene(Recipe recipe, List<String> before, int writers, Set<Kind> changes) {
        static Scene of(String options, int size) {
            return new Scene(Recipe.of(options, size), List.of(), 1, Set.of());
        }

        Scene above(Below below) {
            return new Scene(recipe.above(below), before, writers, changes);
        }

        Scene after(String... commands) {
            return new Scene(recipe, List.of(commands), writers, changes);
        }

        Scene writers(int count) {
            return new Scene(recipe, before, count, changes);
        }

        Scene with(Kind... kinds) {
            return new Scene(recipe, before, writers, Set.of(kinds));
        }

        boolean hasBitmap() {
            return before.contains(BITMAP);
        }

        /// Version 2 cannot be marked as dirty: a crash while a snapshot is made or deleted leaves
        /// COPIED flags which do not go with the refcounts, and do no harm.
        boolean leavesFlags() {
            return recipe.old() && changes.contains(Kind.SNAPSHOTS);
        }

        /// How long the disk may become.
        int room() {
            return changes.contains(Kind.RESIZES) ? 2 * recipe.size() : recipe.size();
        }
    }

    /// A crash, and what it left.
    ///
    /// @param data of the external data file, or null
    @SuppressWarnings("ArrayRecordComponent") // Crashes are not compared.
    private record Crash(byte[] image, byte @Nullable [] data, long instant, String choice) {
        Gate file() {
            return new Gate(new RecordingDevice(image));
        }

        @Nullable Gate dataFile() {
            return data == null ? null : new Gate(new RecordingDevice(data));
        }

        boolean isDirty(Scene scene) {
            return (image[79] & 1) != 0 && !scene.recipe.old();
        }
    }

    /// What happened to an image, as its guest and its owner know it.
    @SuppressWarnings("ArrayRecordComponent") // Not compared.
    private record Told(GuestHistory guest, ImageChanges changes, byte[] before) {}

    private static final List<Scene> SCENES =
            List.of(
                    Scene.of("cluster_size=512", 200_704),
                    Scene.of("cluster_size=512", 400_896).writers(3),
                    // Tables of 64 entries: blocks and the refcount table itself run over.
                    Scene.of("cluster_size=512,refcount_bits=64", 3 << 20)
                            .after("write -q -P 1 0 1950k"),
                    Scene.of("cluster_size=512,refcount_bits=1", 200_704)
                            .above(Below.SHORT_RAW)
                            .writers(2),
                    Scene.of("cluster_size=512,compat=0.10", 200_704).above(Below.QCOW2),
                    Scene.of("cluster_size=4096", 400_896).above(Below.RAW).writers(3),
                    Scene.of("cluster_size=4096,lazy_refcounts=on", 400_896).writers(2),
                    Scene.of("cluster_size=512,lazy_refcounts=on", 200_704).above(Below.RAW),
                    Scene.of("cluster_size=16384,extended_l2=on", 800_256)
                            .above(Below.RAW)
                            .writers(2),
                    Scene.of("cluster_size=4096", 200_704)
                            .after("write -q -P 1 0 150k", "snapshot"),
                    Scene.of("cluster_size=512", 100_352)
                            .after("write -q -P 1 0 98k", SNAPSHOT)
                            .writers(2),
                    Scene.of("cluster_size=4096", 200_704)
                            .after("write -q -c -P 1 0 64k", "write -q -c -P 2 64k 64k"),
                    Scene.of("cluster_size=4096,preallocation=metadata", 200_704),
                    Scene.of("cluster_size=512", 200_704).with(Kind.SNAPSHOTS),
                    Scene.of("cluster_size=4096,refcount_bits=2", 400_896)
                            .above(Below.RAW)
                            .with(Kind.SNAPSHOTS),
                    Scene.of("cluster_size=512,compat=0.10", 100_352)
                            .with(Kind.SNAPSHOTS, Kind.RESIZES),
                    Scene.of("cluster_size=16384,extended_l2=on,lazy_refcounts=on", 400_896)
                            .with(Kind.SNAPSHOTS, Kind.RESIZES),
                    // Some become longer than a cluster of L1 entries covers, which is 2 MiB.
                    Scene.of("cluster_size=512", 1_203_712).above(Below.RAW).with(Kind.RESIZES),
                    Scene.of("cluster_size=512", 200_704).after(BITMAP).writers(2),
                    Scene.of("cluster_size=4096,lazy_refcounts=on", 200_704)
                            .after("write -q -P 1 0 100k", BITMAP),
                    Scene.of("cluster_size=512,data_file_raw=off", 200_704).writers(2),
                    Scene.of("cluster_size=4096,data_file_raw=on", 200_704),
                    Scene.of("cluster_size=4096,data_file_raw=on", 200_704).with(Kind.RESIZES),
                    Scene.of("cluster_size=512", 200_704)
                            .after(BITMAP)
                            .with(Kind.RESIZES, Kind.SNAPSHOTS),
                    Scene.of("cluster_size=4096,data_file_raw=off", 200_704)
                            .above(Below.RAW)
                            .with(Kind.RESIZES),
                    Scene.of("cluster_size=4096", 200_704).with(Kind.HEADERS),
                    Scene.of("cluster_size=65536,compat=0.10", 200_704)
                            .above(Below.RAW)
                            .with(Kind.HEADERS),
                    Scene.of("cluster_size=4096,data_file_raw=off", 200_704).with(Kind.HEADERS),
                    Scene.of("cluster_size=4096", 200_704)
                            .above(Below.QCOW2)
                            .after(BITMAP)
                            .with(Kind.HEADERS, Kind.SNAPSHOTS, Kind.RESIZES));

    @TempDir(factory = Folder.class)
    private Path folder;

    private long states;
    private long judged;
    private long shown;

    @Test
    void no_crash_loses_what_was_flushed_or_damages_the_image() throws Exception {
        Random seeds = new Random(Seeds.next("CrashProofTest"));
        long end = System.nanoTime() + LIMIT.toNanos();
        int histories = 0;
        for (; histories < SCENES.size() || System.nanoTime() < end; histories++) {
            long seed = seeds.nextLong();
            Scene scene = SCENES.get(histories % SCENES.size());
            try {
                assertTimeoutPreemptively(HISTORY_MAX, () -> prove(scene, seed));
            } catch (Throwable e) {
                throw new AssertionError("seed %d: %s".formatted(seed, scene), e);
            }
        }
        System.out.printf(
                "CrashProofTest: %d histories, %d states, %d of them shown to qemu-img%n",
                histories, states, shown);
        assertTrue(states > 30L * histories, "hardly any states");
    }

    private void prove(Scene scene, long seed) throws Exception {
        Random random = new Random(seed);
        Path image = folder.resolve("image.qcow2");
        byte[] fresh = create(scene, image);
        RecordingDevice disk = new RecordingDevice(fresh);
        RecordingDevice data =
                scene.recipe.external()
                        ? disk.beside(Files.readAllBytes(Recipe.dataFile(image)))
                        : null;
        Told told;
        Qcow2Options options =
                switch (random.nextInt(scene.recipe.old() ? 2 : 3)) {
                    case 0 -> OpenImage.TIGHT;
                    case 1 -> OpenImage.ROOMY;
                    default -> OpenImage.KEEPING;
                };
        try (OpenImage opened =
                OpenImage.open(
                        scene.recipe,
                        new Gate(disk),
                        data == null ? null : new Gate(data),
                        image,
                        options)) {
            Gate gate = opened.gate();
            told = told(scene, read(gate, scene));
            CrashHistory history =
                    new CrashHistory(scene.recipe, gate, told.changes, told.guest, disk);
            BlockDeviceContract.runAll(
                    scene.writers,
                    writer -> history.run(new Random(seed + writer), writer, scene.writers));
            told.guest.check(0, read(gate, scene));
        }
        states += crash(scene, told, disk, data, false, random, image);
        if (data != null) {
            states += crash(scene, told, data, disk, true, random, image);
        }
    }

    private static Told told(Scene scene, byte[] contents) {
        return new Told(
                new GuestHistory(contents),
                new ImageChanges(scene.changes, scene.recipe, scene.room()),
                contents);
    }

    /// Judges what crashes leave of two files, which do not tell each other when they are synced.
    ///
    /// @param varied the file of which every state is judged, together with some of the other
    /// @param data whether that is the external data file
    private long crash(
            Scene scene,
            Told told,
            RecordingDevice varied,
            @Nullable RecordingDevice other,
            boolean data,
            Random random,
            Path image)
            throws Exception {
        return new CrashStates(varied)
                .judgeEach(
                        random,
                        STATES_MAX,
                        state -> {
                            byte[] beside =
                                    other == null
                                            ? null
                                            : new CrashStates(other)
                                                    .at(state.instant(), random, chance(random));
                            Crash crash =
                                    data && beside != null
                                            ? new Crash(
                                                    beside,
                                                    state.contents(),
                                                    state.instant(),
                                                    state.choice())
                                            : new Crash(
                                                    state.contents(),
                                                    beside,
                                                    state.instant(),
                                                    state.choice());
                            judgeOrKeep(scene, crash, told, image);
                        });
    }

    /// Nothing and everything more often than by chance.
    private static double chance(Random random) {
        return Math.clamp(3 * random.nextDouble() - 1, 0, 1);
    }

    private void judgeOrKeep(Scene scene, Crash crash, Told told, Path image) throws Exception {
        try {
            judge(scene, crash, told, image);
        } catch (AssertionError | IOException e) {
            Files.write(Path.of("target/crash.qcow2"), crash.image);
            throw new AssertionError("at %d, %s".formatted(crash.instant, crash.choice), e);
        }
    }

    private byte[] create(Scene scene, Path image) throws Exception {
        scene.recipe.create(image);
        for (String command : scene.before) {
            if (command.equals(SNAPSHOT)) {
                Host.run("qemu-img", "snapshot", "-c", "before", image.toString());
            } else if (command.equals(BITMAP)) {
                Host.run("qemu-img", "bitmap", "--add", "-g", "512", image.toString(), "b");
            } else {
                Host.run("qemu-io", "-f", "qcow2", "-c", command, image.toString());
            }
        }
        return Files.readAllBytes(image);
    }

    private void judge(Scene scene, Crash crash, Told told, Path image) throws Exception {
        RecordingDevice survivor = new RecordingDevice(crash.image);
        Gate file = new Gate(survivor);
        boolean dirty = crash.isDirty(scene);
        told.changes.checkHeader(crash.instant, file);
        if (!dirty) {
            check(scene, file);
        }
        if (scene.hasBitmap()) {
            judgeBitmap(scene, crash, told, image);
        }
        judgeContents(scene, file, crash.dataFile(), told, crash.instant, image);
        check(scene, file);
        if (scene.changes.contains(Kind.SNAPSHOTS)) {
            judgeSnapshots(scene, crash, told, image);
        }
        if (dirty && judged % REPAIRS_EVERY == 0) {
            judgeRepair(scene, survivor, crash, told, image);
        }
        if (judged++ % PEER_EVERY == 0) {
            showPeer(crash, dirty || scene.leavesFlags(), image);
        }
    }

    private void showPeer(Crash crash, boolean repairs, Path image) throws Exception {
        shown++;
        Files.write(image, crash.image);
        if (crash.data != null) {
            Files.write(Recipe.dataFile(image), crash.data);
        }
        if (repairs) {
            Peer.repair(image);
        } else {
            assertTrue(Peer.check(image) != Peer.Health.CORRUPT, "qemu-img: corrupt");
        }
    }

    /// A repair may be cut short as well: it is recorded, and what a crash leaves of it is opened.
    private static void judgeRepair(
            Scene scene, RecordingDevice repaired, Crash crash, Told told, Path image)
            throws Exception {
        new CrashStates(repaired)
                .judgeEach(
                        new Random(crash.instant),
                        REPAIR_STATES_MAX,
                        state -> {
                            Crash again = new Crash(state.contents(), crash.data, 0, "");
                            Gate file = again.file();
                            if (!again.isDirty(scene)) {
                                check(scene, file);
                            }
                            judgeContents(
                                    scene, file, again.dataFile(), told, crash.instant, image);
                            check(scene, file);
                        });
    }

    private static void judgeContents(
            Scene scene, Gate file, @Nullable Gate data, Told told, long instant, Path image)
            throws Exception {
        try (OpenImage opened = OpenImage.open(scene.recipe, file, data, image, OpenImage.ROOMY)) {
            told.changes.checkLength(instant, opened.gate().size());
            told.guest.checkCrashed(instant, read(opened.gate(), scene));
        }
    }

    private static void judgeSnapshots(Scene scene, Crash crash, Told told, Path image)
            throws Exception {
        Gate file = crash.file();
        try (OpenImage opened =
                OpenImage.open(scene.recipe, file, crash.dataFile(), image, OpenImage.ROOMY)) {
            if (scene.hasBitmap()) {
                // One that cannot be believed stands in the way of another length.
                opened.device().bitmaps().remove("b");
            }
            told.changes.checkSnapshots(crash.instant, opened.device());
        }
        check(scene, file);
    }

    /// A bitmap says that it cannot be believed, or marks everything that is not what it was, but
    /// for what is new at the disk's end.
    private static void judgeBitmap(Scene scene, Crash crash, Told told, Path image)
            throws Exception {
        byte[] before = told.before;
        byte[] now;
        try (OpenImage opened =
                OpenImage.open(
                        scene.recipe, crash.file(), crash.dataFile(), image, OpenImage.ROOMY)) {
            now = read(opened.gate(), scene);
        }
        ImageBitmaps bitmaps =
                ImageBitmaps.read(
                        HostFile.ofImage(crash.file()), Qcow2Device.header(crash.file()), false);
        PersistentBitmap bitmap = Objects.requireNonNull(bitmaps.find("b"));
        if (!bitmap.isConsistent()) {
            return;
        }
        ClusterBitmap bits = bitmap.bits();
        int kept = told.changes.shortest();
        for (int at = 0; at < kept; at += RecordingDevice.SECTOR_BYTES) {
            int end = Math.min(at + RecordingDevice.SECTOR_BYTES, kept);
            long bit = at / RecordingDevice.SECTOR_BYTES;
            assertTrue(
                    Arrays.equals(now, at, end, before, at, end) || bits.get(bit),
                    "the sector at %d has changed and is not marked".formatted(at));
        }
    }

    /// The disk, and zeroes up to how long it may become.
    private static byte[] read(Gate gate, Scene scene) throws BlockException {
        return Arrays.copyOf(DiskModel.read(gate, 0, (int) gate.size()), scene.room());
    }

    private static void check(Scene scene, Gate file) throws BlockException {
        List<String> findings = new ArrayList<>();
        CheckResult result = Qcow2Checker.check(file, Repair.NONE, findings::add);
        if (scene.leavesFlags()) {
            findings.removeIf(each -> each.contains("COPIED") || each.startsWith("Leak"));
            assertEquals(List.of(), findings, "our check");
        } else {
            assertTrue(result.isSound(), () -> "our check: " + findings);
        }
    }
}
