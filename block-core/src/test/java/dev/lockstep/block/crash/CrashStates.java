package dev.lockstep.block.crash;

import static dev.lockstep.block.crash.RecordingDevice.SECTOR_BYTES;

import dev.lockstep.block.crash.RecordingDevice.Change;
import dev.lockstep.block.crash.RecordingDevice.Recording;
import dev.lockstep.block.crash.RecordingDevice.Sync;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;

/// The disks that a power cut may leave behind.
///
/// A change is durable once a sync has returned that began after the change had returned. Of the
/// other changes, each sector has one of the values it had since it last was durable, whatever the
/// other sectors have; the file's length likewise. What can be left behind at some moment can be
/// left behind at every later one until the next sync returns, so it is enough to look at the
/// moments just before one returns, and at the end. Each object is asked once.
public final class CrashStates {
    /// What a crash may leave.
    ///
    /// @param files each device's contents
    /// @param instant the moment of the crash
    /// @param choice what survived, for people
    public record State(List<byte[]> files, long instant, String choice) {
        /// Those of the first device.
        public byte[] contents() {
            return files.getFirst();
        }
    }

    /// Whoever looks at the states.
    @FunctionalInterface
    public interface Judge {
        /// Fails if the state must not be.
        void judge(State state) throws Exception;
    }

    /// A value that a place had from a moment on.
    @SuppressWarnings("ArrayRecordComponent") // Versions are not compared.
    private record Version(long since, byte[] bytes) {}

    /// Something of a device that a crash leaves or does not: a sector, or as number -1 its length.
    private record Spot(int device, int sector) implements Comparable<Spot> {
        @Override
        public int compareTo(Spot other) {
            int devices = Integer.compare(device, other.device);
            return devices == 0 ? Integer.compare(sector, other.sector) : devices;
        }

        @Override
        public String toString() {
            return sector == LENGTH
                    ? "length of file %d".formatted(device)
                    : "file %d 0x%x".formatted(device, sector * SECTOR_BYTES);
        }
    }

    /// What may differ.
    ///
    /// @param versions the durable one, then the others, oldest first
    private record Place(Spot spot, List<Version> versions) {
        /// The number of the newest version that is not younger than a moment.
        int at(long moment) {
            int newest = 0;
            for (int index = 1; index < versions.size(); index++) {
                newest = versions.get(index).since <= moment ? index : newest;
            }
            return newest;
        }

        /// The number of the version that came at a moment, or of the durable one.
        int only(long moment) {
            return versions.get(at(moment)).since == moment ? at(moment) : 0;
        }

        /// The number of the newest version but that of a moment.
        int allBut(long moment) {
            int last = versions.size() - 1;
            return last > 0 && versions.get(last).since == moment ? last - 1 : last;
        }
    }

    private static final int LENGTH = -1;

    /// A change or a sync of one of the devices.
    private record Of<T>(int device, T event) {}

    private final List<byte[]> initial = new ArrayList<>();

    /// In the order in which they took effect.
    private final List<Of<Change>> changes = new ArrayList<>();

    /// In the order in which they returned.
    private final List<Of<Sync>> syncs = new ArrayList<>();

    /// What is durable: the value of each place, and since when. A place that is absent is as it
    /// was in the beginning.
    private final Map<Spot, Version> durable = new TreeMap<>();

    /// What happened and is not durable yet.
    private final List<Of<Change>> open = new ArrayList<>();

    /// What a crash of these devices, which share a clock, may have left at any moment up to now. A
    /// sync of one says nothing about the others.
    public CrashStates(RecordingDevice... devices) {
        for (RecordingDevice device : devices) {
            int number = initial.size();
            Recording recording = device.recording();
            initial.add(recording.initial());
            recording.changes().forEach(change -> changes.add(new Of<>(number, change)));
            recording.syncs().forEach(sync -> syncs.add(new Of<>(number, sync)));
        }
        changes.sort(Comparator.comparingLong(change -> change.event.began()));
        syncs.sort(Comparator.comparingLong(sync -> sync.event.ended()));
    }

    /// Shows the judge the states: all of them between two syncs if they are at most `most`,
    /// otherwise that many, the treacherous ones first.
    ///
    /// @return how many there were
    public long judgeEach(Random random, int most, Judge judge) throws Exception {
        long judged = 0;
        int next = 0;
        for (Of<Sync> sync : syncs) {
            next = advance(next, sync.event.ended());
            judged += judgeWindow(random, most, sync.event.ended() - 1, judge);
            settle(sync);
        }
        advance(next, Long.MAX_VALUE);
        return judged + judgeWindow(random, most, Long.MAX_VALUE, judge);
    }

    /// One of the disks that a crash at this moment may leave of the first device.
    public byte[] now(Random random) {
        return at(Long.MAX_VALUE, random, random.nextDouble());
    }

    /// One of the disks that a crash at some moment may leave of the first device.
    ///
    /// @param chance of each sector to have one of the values that are not durable
    public byte[] at(long instant, Random random, double chance) {
        return allAt(instant, random, chance).getFirst();
    }

    /// The same of each device.
    public List<byte[]> allAt(long instant, Random random, double chance) {
        int next = 0;
        for (Of<Sync> sync : syncs) {
            if (sync.event.ended() > instant) {
                break;
            }
            next = advance(next, sync.event.ended());
            settle(sync);
        }
        advance(next, instant == Long.MAX_VALUE ? instant : instant + 1);
        List<Place> places = places();
        return state(places, toss(places, random, chance), instant).files();
    }

    /// Opens the changes, from number `first` on, that began before a moment.
    ///
    /// @return the number of the next
    private int advance(int first, long moment) {
        int next = first;
        while (next < changes.size() && changes.get(next).event.began() < moment) {
            open.add(changes.get(next++));
        }
        return next;
    }

    /// Makes durable what a sync covers.
    private void settle(Of<Sync> sync) {
        open.removeIf(
                change ->
                        change.device == sync.device
                                && change.event.ended() < sync.event.began()
                                && becomesDurable(change));
    }

    private boolean becomesDurable(Of<Change> change) {
        for (Map.Entry<Spot, byte[]> value : values(change).entrySet()) {
            durable.merge(
                    value.getKey(),
                    new Version(change.event.began(), value.getValue()),
                    (old, fresh) -> old.since > fresh.since ? old : fresh);
        }
        return true;
    }

    private static Map<Spot, byte[]> values(Of<Change> of) {
        Change change = of.event;
        if (change.size() >= 0) {
            return Map.of(new Spot(of.device, LENGTH), new byte[(int) change.size()]);
        }
        Map<Spot, byte[]> values = new TreeMap<>();
        for (int at = 0; at < change.values().length; at += SECTOR_BYTES) {
            values.put(
                    new Spot(of.device, change.sector() + at / SECTOR_BYTES),
                    Arrays.copyOfRange(change.values(), at, at + SECTOR_BYTES));
        }
        return values;
    }

    private long judgeWindow(Random random, int most, long instant, Judge judge) throws Exception {
        List<Place> places = places();
        Set<List<Integer>> seen = new HashSet<>();
        for (int[] choice : choices(places, random, most)) {
            if (seen.add(Arrays.stream(choice).boxed().toList())) {
                judge.judge(state(places, choice, instant));
            }
        }
        return seen.size();
    }

    private List<Place> places() {
        Map<Spot, List<Version>> found = new TreeMap<>();
        for (Of<Change> change : open) {
            long began = change.event.began();
            for (Map.Entry<Spot, byte[]> value : values(change).entrySet()) {
                Spot spot = value.getKey();
                Version first = durable.getOrDefault(spot, initially(spot));
                List<Version> versions =
                        found.computeIfAbsent(spot, _ -> new ArrayList<>(List.of(first)));
                boolean same = Arrays.equals(versions.getLast().bytes, value.getValue());
                if (!same && began > first.since) {
                    versions.add(new Version(began, value.getValue()));
                }
            }
        }
        List<Place> places = new ArrayList<>();
        found.forEach(
                (spot, versions) -> {
                    if (versions.size() > 1) {
                        places.add(new Place(spot, versions));
                    }
                });
        return places;
    }

    private Version initially(Spot spot) {
        byte[] contents = initial.get(spot.device);
        if (spot.sector == LENGTH) {
            return new Version(0, new byte[contents.length]);
        }
        int from = Math.min(spot.sector * SECTOR_BYTES, contents.length);
        int to = Math.min(from + SECTOR_BYTES, contents.length);
        byte[] bytes = Arrays.copyOfRange(contents, from, to);
        return new Version(0, Arrays.copyOf(bytes, SECTOR_BYTES));
    }

    private List<int[]> choices(List<Place> places, Random random, int most) {
        long count = 1;
        for (Place place : places) {
            count = Math.min(Integer.MAX_VALUE, count * place.versions.size());
        }
        return count <= most ? every(places, (int) count) : some(places, random, most);
    }

    private static List<int[]> every(List<Place> places, int count) {
        List<int[]> choices = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            int rest = number;
            int[] choice = new int[places.size()];
            for (int index = 0; index < choice.length; index++) {
                choice[index] = rest % places.get(index).versions.size();
                rest /= places.get(index).versions.size();
            }
            choices.add(choice);
        }
        return choices;
    }

    /// Nothing, everything, then in turn: one change alone, all but one, one sector alone, all but
    /// one, all up to one, and coins with different chances.
    private List<int[]> some(List<Place> places, Random random, int most) {
        List<int[]> choices = new ArrayList<>();
        choices.add(new int[places.size()]);
        choices.add(choose(places, Long.MAX_VALUE, Place::at));
        while (choices.size() < most) {
            long moment = open.get(random.nextInt(open.size())).event.began();
            int lonely = random.nextInt(places.size());
            int[] newest = choose(places, Long.MAX_VALUE, Place::at);
            int[] oldest = new int[newest.length];
            choices.add(
                    switch (choices.size() % 7) {
                        case 0 -> choose(places, moment, Place::only);
                        case 1 -> choose(places, moment, Place::allBut);
                        case 2 -> with(oldest, lonely, newest[lonely]);
                        case 3 -> with(newest, lonely, 0);
                        case 4 -> choose(places, moment, Place::at);
                        default -> toss(places, random, random.nextDouble());
                    });
        }
        return choices;
    }

    private static int[] with(int[] choice, int index, int value) {
        choice[index] = value;
        return choice;
    }

    private interface Chooser {
        int choose(Place place, long moment);
    }

    private static int[] choose(List<Place> places, long moment, Chooser chooser) {
        return places.stream().mapToInt(place -> chooser.choose(place, moment)).toArray();
    }

    private static int[] toss(List<Place> places, Random random, double chance) {
        return choose(
                places,
                0,
                (place, _) ->
                        random.nextDouble() < chance
                                ? 1 + random.nextInt(place.versions.size() - 1)
                                : 0);
    }

    private State state(List<Place> places, int[] choice, long instant) {
        Map<Spot, byte[]> values = new TreeMap<>();
        durable.forEach((spot, version) -> values.put(spot, version.bytes));
        StringBuilder survived = new StringBuilder();
        for (int index = 0; index < choice.length; index++) {
            Place place = places.get(index);
            values.put(place.spot, place.versions.get(choice[index]).bytes);
            survived.append(place.spot)
                    .append(" is %d of %d, ".formatted(choice[index], place.versions.size() - 1));
        }
        List<byte[]> files = new ArrayList<>();
        for (int device = 0; device < initial.size(); device++) {
            files.add(contents(device, values));
        }
        return new State(files, instant, survived.toString());
    }

    private byte[] contents(int device, Map<Spot, byte[]> values) {
        byte[] length = values.remove(new Spot(device, LENGTH));
        byte[] before = initial.get(device);
        byte[] contents = Arrays.copyOf(before, length == null ? before.length : length.length);
        values.forEach(
                (spot, value) -> {
                    int at = spot.sector * SECTOR_BYTES;
                    int fits = Math.clamp(contents.length - at, 0, SECTOR_BYTES);
                    if (spot.device == device && fits > 0) {
                        System.arraycopy(value, 0, contents, at, fits);
                    }
                });
        return contents;
    }
}
