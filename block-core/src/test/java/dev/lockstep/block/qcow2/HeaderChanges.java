package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Header;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// What a history records in an image's header, and which of that a crash may leave: the old or the
/// new, never a part of either. Each is durable when it returns.
final class HeaderChanges {
    private static final int NAME_BYTES_MAX = 1023;

    /// What the extensions and the fields say.
    private record Said(
            @Nullable String backing,
            @Nullable String format,
            @Nullable String dataFile,
            boolean lazy,
            int version) {
        static Said by(Header header) {
            return new Said(
                    header.backingFile(),
                    header.backingFormat(),
                    header.externalDataFile(),
                    header.has(Feature.LAZY_REFCOUNTS),
                    header.version());
        }
    }

    private record Change(long began, long ended, Said said) {}

    private interface Work {
        void run() throws BlockException;
    }

    private final Recipe recipe;
    private final List<Change> changes = new ArrayList<>();

    HeaderChanges(Recipe recipe) {
        this.recipe = recipe;
    }

    /// Changes something.
    void step(Random random, Qcow2Device device, RecordingDevice clock) throws BlockException {
        if (changes.isEmpty()) {
            changes.add(new Change(0, 0, said(clock)));
        }
        switch (random.nextInt(recipe.external() ? 4 : 3)) {
            case 0 -> {
                boolean lazy = random.nextBoolean() && !recipe.old();
                change(clock, () -> device.amend(new Amendment(null, lazy, null, null)));
            }
            case 3 -> {
                String name = name(random);
                change(clock, () -> device.amend(new Amendment(null, null, name, null)));
            }
            default -> {
                String name = random.nextInt(6) == 0 ? null : name(random);
                String format = name == null || random.nextInt(4) == 0 ? null : "qcow2";
                change(clock, () -> device.changeBacking(name, format));
            }
        }
    }

    /// As long as there is room for two of them beside each other.
    private String name(Random random) {
        int most = Math.min(NAME_BYTES_MAX, recipe.clusterBytes() / 2 - 400);
        int shared = recipe.external() ? most / 2 : most;
        return Character.toString('a' + random.nextInt(26)).repeat(1 + random.nextInt(shared));
    }

    private void change(RecordingDevice clock, Work work) throws BlockException {
        long began = clock.tick();
        work.run();
        changes.add(new Change(began, clock.tick(), said(clock)));
    }

    private static Said said(RecordingDevice disk) throws BlockException {
        return Said.by(Qcow2Device.header(new Gate(disk)));
    }

    /// Fails unless a crash may leave this header.
    void check(long instant, Gate file) throws BlockException {
        if (changes.isEmpty()) {
            return;
        }
        List<Said> possible = new ArrayList<>();
        for (Change change : changes) {
            if (change.ended <= instant) {
                possible.clear();
            }
            if (change.began <= instant) {
                possible.add(change.said);
            }
        }
        Said found = Said.by(Qcow2Device.header(file));
        assertTrue(possible.contains(found), () -> found + ", not one of " + possible);
    }
}
