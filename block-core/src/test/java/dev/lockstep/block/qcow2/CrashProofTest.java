package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.CrashStates.State;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Recipe.Below;
import dev.lockstep.block.qcow2.check.Qcow2Checker;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

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

    /// An image, what is in it before the history begins, and how many write at once.
    private record Scene(Recipe recipe, List<String> before, int writers) {
        static Scene of(String options, int size) {
            return new Scene(Recipe.of(options, size), List.of(), 1);
        }

        Scene above(Below below) {
            return new Scene(recipe.above(below), before, writers);
        }

        Scene after(String... commands) {
            return new Scene(recipe, List.of(commands), writers);
        }

        Scene writers(int count) {
            return new Scene(recipe, before, count);
        }
    }

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
                            .after("write -q -P 1 0 98k", "snapshot")
                            .writers(2),
                    Scene.of("cluster_size=4096", 200_704)
                            .after("write -q -c -P 1 0 64k", "write -q -c -P 2 64k 64k"),
                    Scene.of("cluster_size=4096,preallocation=metadata", 200_704));

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
        GuestHistory guest;
        Qcow2Options options = random.nextBoolean() ? OpenImage.TIGHT : OpenImage.ROOMY;
        try (OpenImage opened = OpenImage.open(scene.recipe, new Gate(disk), image, options)) {
            Gate gate = opened.gate();
            guest = new GuestHistory(DiskModel.read(gate, 0, scene.recipe.size()));
            CrashHistory history = new CrashHistory(scene.recipe, gate, guest, disk);
            BlockDeviceContract.runAll(
                    scene.writers,
                    writer -> history.run(new Random(seed + writer), writer, scene.writers));
            guest.check(0, DiskModel.read(gate, 0, scene.recipe.size()));
        }
        states +=
                new CrashStates(disk)
                        .judgeEach(
                                random,
                                STATES_MAX,
                                state -> {
                                    try {
                                        judge(scene, state, guest, image);
                                    } catch (AssertionError | IOException e) {
                                        Files.write(
                                                Path.of("target/crash.qcow2"), state.contents());
                                        throw new AssertionError(
                                                "at %d, %s"
                                                        .formatted(state.instant(), state.choice()),
                                                e);
                                    }
                                });
    }

    private byte[] create(Scene scene, Path image) throws Exception {
        scene.recipe.create(image);
        for (String command : scene.before) {
            if (command.equals("snapshot")) {
                Host.run("qemu-img", "snapshot", "-c", "before", image.toString());
            } else {
                Host.run("qemu-io", "-f", "qcow2", "-c", command, image.toString());
            }
        }
        return Files.readAllBytes(image);
    }

    private void judge(Scene scene, State state, GuestHistory guest, Path image) throws Exception {
        RecordingDevice survivor = new RecordingDevice(state.contents());
        Gate file = new Gate(survivor);
        boolean dirty = isDirty(scene, state.contents());
        if (!dirty) {
            check(file);
        }
        guest.checkCrashed(state.instant(), read(scene, file, image));
        check(file);
        if (dirty && judged % REPAIRS_EVERY == 0) {
            judgeRepair(scene, survivor, state.instant(), guest, image);
        }
        if (judged++ % PEER_EVERY == 0) {
            shown++;
            Files.write(image, state.contents());
            if (dirty) {
                Peer.repair(image);
            } else {
                assertTrue(Peer.check(image) != Peer.Health.CORRUPT, "qemu-img: corrupt");
            }
        }
    }

    /// A repair may be cut short as well: it is recorded, and what a crash leaves of it is opened.
    private static void judgeRepair(
            Scene scene, RecordingDevice repaired, long instant, GuestHistory guest, Path image)
            throws Exception {
        new CrashStates(repaired)
                .judgeEach(
                        new Random(instant),
                        REPAIR_STATES_MAX,
                        state -> {
                            Gate file = new Gate(new RecordingDevice(state.contents()));
                            if (!isDirty(scene, state.contents())) {
                                check(file);
                            }
                            guest.checkCrashed(instant, read(scene, file, image));
                            check(file);
                        });
    }

    private static byte[] read(Scene scene, Gate file, Path image) throws BlockException {
        try (OpenImage opened = OpenImage.open(scene.recipe, file, image, OpenImage.ROOMY)) {
            return DiskModel.read(opened.gate(), 0, scene.recipe.size());
        }
    }

    private static boolean isDirty(Scene scene, byte[] image) {
        return (image[79] & 1) != 0 && !scene.recipe.old();
    }

    private static void check(Gate file) throws BlockException {
        List<String> findings = new ArrayList<>();
        CheckResult result = Qcow2Checker.check(file, Repair.NONE, findings::add);
        assertTrue(result.isSound(), () -> "our check: " + findings);
    }
}
