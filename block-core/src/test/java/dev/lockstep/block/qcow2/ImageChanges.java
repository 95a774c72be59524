package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.util.stream.Collectors.toMap;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/// What a history does to an image as a whole, while nothing else is done to it, and what of that a
/// crash may leave: each is durable when it returns.
///
/// The guest's history is as long as the disk may become; what lies beyond the disk's end reads as
/// zeroes there.
final class ImageChanges {
    /// What may be done.
    enum Kind {
        SNAPSHOTS,
        RESIZES,
        HEADERS
    }

    private static final long NEVER = Long.MAX_VALUE;
    private static final int SNAPSHOTS_MAX = 4;
    private static final int SECTOR_BYTES = RecordingDevice.SECTOR_BYTES;

    private record Length(long began, long ended, int bytes) {}

    /// A snapshot, with the moments between which it was made, and deleted.
    @SuppressWarnings("ArrayRecordComponent") // Snapshots are not compared.
    private record Snapshot(
            String name,
            byte[] contents,
            long began,
            long ended,
            long deleteBegan,
            long deleteEnded) {
        /// Whether it must be there after a crash.
        boolean must(long instant) {
            return ended <= instant && (deleteBegan == NEVER || deleteBegan > instant);
        }

        /// Whether it may be there after a crash.
        boolean may(long instant) {
            return began <= instant && (deleteEnded == NEVER || deleteEnded > instant);
        }
    }

    private final Set<Kind> kinds;
    private final Recipe recipe;
    private final int room;
    private final HeaderChanges headers;
    private final List<Length> lengths = new ArrayList<>();
    private final List<Snapshot> snapshots = new ArrayList<>();

    /// @param room how long the disk may become
    ImageChanges(Set<Kind> kinds, Recipe recipe, int room) {
        this.kinds = kinds;
        this.recipe = recipe;
        this.room = room;
        headers = new HeaderChanges(recipe);
        lengths.add(new Length(0, 0, recipe.size()));
    }

    /// Does something, now and then.
    ///
    /// @return whether it did
    boolean step(Random random, Qcow2Device device, GuestHistory guest, RecordingDevice clock)
            throws BlockException {
        if (kinds.contains(Kind.RESIZES) && random.nextInt(6) == 0) {
            return resize(random, device, guest, clock);
        }
        if (kinds.contains(Kind.HEADERS) && random.nextInt(3) == 0) {
            headers.step(random, device, clock);
            return true;
        }
        if (!kinds.contains(Kind.SNAPSHOTS) || random.nextInt(5) > 0) {
            return false;
        }
        boolean _ = isPossible(() -> stepSnapshots(random, device, guest, clock));
        return true;
    }

    private interface Work {
        void run() throws BlockException;
    }

    /// Refcounts of few bits cannot count each reference; nothing has changed then.
    private static boolean isPossible(Work work) {
        try {
            work.run();
            return true;
        } catch (BlockException e) {
            assertEquals(BlockException.Kind.NO_SPACE, e.kind(), e::getMessage);
            return false;
        }
    }

    private void stepSnapshots(
            Random random, Qcow2Device device, GuestHistory guest, RecordingDevice clock)
            throws BlockException {
        List<Snapshot> present = present();
        if (present.isEmpty() || (present.size() < SNAPSHOTS_MAX && random.nextBoolean())) {
            create(device, guest, clock);
        } else if (random.nextBoolean()) {
            apply(present.get(random.nextInt(present.size())), device, guest, clock);
        } else {
            delete(present.get(random.nextInt(present.size())), device, clock);
        }
    }

    private List<Snapshot> present() {
        return snapshots.stream().filter(each -> each.deleteBegan == NEVER).toList();
    }

    private void create(Qcow2Device device, GuestHistory guest, RecordingDevice clock)
            throws BlockException {
        long began = clock.tick();
        String name = "s" + snapshots.size();
        SnapshotEntry _ = device.createSnapshot(name, Instant.EPOCH);
        byte[] contents = guest.bytes(0, (int) device.size());
        snapshots.add(new Snapshot(name, contents, began, clock.tick(), NEVER, NEVER));
    }

    private void apply(
            Snapshot snapshot, Qcow2Device device, GuestHistory guest, RecordingDevice clock)
            throws BlockException {
        long began = clock.tick();
        SnapshotEntry _ = device.applySnapshot(snapshot.name);
        long ended = clock.tick();
        guest.changed(began, ended, 0, Arrays.copyOf(snapshot.contents, room), true);
        lengths.add(new Length(began, ended, snapshot.contents.length));
    }

    private void delete(Snapshot snapshot, Qcow2Device device, RecordingDevice clock)
            throws BlockException {
        long began = clock.tick();
        SnapshotEntry _ = device.deleteSnapshot(snapshot.name);
        snapshots.set(
                snapshots.indexOf(snapshot),
                new Snapshot(
                        snapshot.name,
                        snapshot.contents,
                        snapshot.began,
                        snapshot.ended,
                        began,
                        clock.tick()));
    }

    /// While the disk becomes shorter, what will be beyond its end may be what lies below the
    /// image.
    private boolean resize(
            Random random, Qcow2Device device, GuestHistory guest, RecordingDevice clock)
            throws BlockException {
        if (recipe.old() && !present().isEmpty()) {
            return false;
        }
        int length = random.nextInt(1, room / SECTOR_BYTES) * SECTOR_BYTES;
        int lost = Math.max(0, (int) device.size() - length);
        long began = clock.tick();
        device.resize(length);
        long ended = clock.tick();
        if (lost > 0) {
            byte[] below = recipe.contents(length, lost);
            guest.changed(began, ended, length, below, false);
            guest.changed(began, ended, length, new byte[lost], true);
        }
        lengths.add(new Length(began, ended, length));
        return true;
    }

    /// The shortest length that the disk had.
    int shortest() {
        return lengths.stream().mapToInt(Length::bytes).min().orElseThrow();
    }

    /// Fails unless a crash may leave the header of this image.
    void checkHeader(long instant, Gate file) throws BlockException {
        headers.check(instant, file);
    }

    /// Fails unless a disk may have this length after a crash.
    void checkLength(long instant, long found) {
        Length durable = lengths.getFirst();
        List<Integer> possible = new ArrayList<>();
        for (Length length : lengths) {
            if (length.ended <= instant) {
                durable = length;
                possible.clear();
            } else if (length.began <= instant) {
                possible.add(length.bytes);
            }
        }
        possible.add(durable.bytes);
        assertTrue(possible.contains((int) found), () -> found + " bytes, not " + possible);
    }

    /// Fails unless the snapshots are those that there may be, and the disk is what it was when one
    /// is applied. Others, which were there before the history, are left alone.
    void checkSnapshots(long instant, Qcow2Device device) throws BlockException {
        Map<String, Snapshot> known =
                snapshots.stream().collect(toMap(Snapshot::name, snapshot -> snapshot));
        List<String> found = device.snapshots().stream().map(SnapshotEntry::name).toList();
        for (Snapshot snapshot : snapshots) {
            boolean there = found.contains(snapshot.name);
            assertTrue(
                    there ? snapshot.may(instant) : !snapshot.must(instant),
                    () -> snapshot.name + " among " + found);
        }
        for (String name : found) {
            Snapshot snapshot = known.get(name);
            if (snapshot != null && isPossible(() -> device.applySnapshot(name))) {
                Gate gate = new Gate(device);
                assertEquals(snapshot.contents.length, gate.size(), name);
                byte[] now = DiskModel.read(gate, 0, (int) gate.size());
                assertArrayEquals(snapshot.contents, now, name);
            }
        }
    }
}
