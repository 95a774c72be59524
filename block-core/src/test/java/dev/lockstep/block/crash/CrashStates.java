package dev.lockstep.block.crash;

import static dev.lockstep.block.crash.RecordingDevice.SECTOR_BYTES;

import dev.lockstep.block.crash.RecordingDevice.Change;
import dev.lockstep.block.crash.RecordingDevice.Recording;
import dev.lockstep.block.crash.RecordingDevice.Sync;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
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
    /// One disk that a crash may leave.
    ///
    /// @param contents the file
    /// @param instant the moment of the crash
    /// @param choice what survived, for people
    @SuppressWarnings("ArrayRecordComponent") // States are not compared.
    public record State(byte[] contents, long instant, String choice) {}

    /// Whoever looks at the states.
    @FunctionalInterface
    public interface Judge {
        /// Fails if the state must not be.
        void judge(State state) throws Exception;
    }

    /// A value that a place had from a moment on.
    @SuppressWarnings("ArrayRecordComponent") // Versions are not compared.
    private record Version(long since, byte[] bytes) {}

    /// Where something may differ: a sector, or as number -1 the length of the file.
    ///
    /// @param versions the durable one, then the others, oldest first
    private record Place(int sector, List<Version> versions) {
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

    private final Recording recording;

    /// What is durable: the value of each place, and since when. A place that is absent is as it
    /// was in the beginning.
    private final Map<Integer, Version> durable = new HashMap<>();

    /// What happened and is not durable yet.
    private final List<Change> open = new ArrayList<>();

    /// The disks that a crash of this device, at any moment up to now, may have left.
    public CrashStates(RecordingDevice device) {
        recording = device.recording();
    }

    /// Shows the judge the states: all of them between two syncs if they are at most `most`,
    /// otherwise that many, the treacherous ones first.
    ///
    /// @return how many there were
    public long judgeEach(Random random, int most, Judge judge) throws Exception {
        long judged = 0;
        int next = 0;
        for (Sync sync : recording.syncs()) {
            next = advance(next, sync.ended());
            judged += judgeWindow(random, most, sync.ended() - 1, judge);
            open.removeIf(change -> settle(change, sync.began()));
        }
        advance(next, Long.MAX_VALUE);
        return judged + judgeWindow(random, most, Long.MAX_VALUE, judge);
    }

    /// One of the disks that a crash at this moment may leave.
    public byte[] now(Random random) {
        return at(Long.MAX_VALUE, random, random.nextDouble());
    }

    /// One of the disks that a crash at some moment may leave.
    ///
    /// @param chance of each sector to have one of the values that are not durable
    public byte[] at(long instant, Random random, double chance) {
        int next = 0;
        for (Sync sync : recording.syncs()) {
            if (sync.ended() > instant) {
                break;
            }
            next = advance(next, sync.ended());
            open.removeIf(change -> settle(change, sync.began()));
        }
        advance(next, instant == Long.MAX_VALUE ? instant : instant + 1);
        List<Place> places = places();
        return state(places, toss(places, random, chance), instant).contents();
    }

    /// Opens the changes, from number `first` on, that began before a moment.
    ///
    /// @return the number of the next
    private int advance(int first, long moment) {
        int next = first;
        List<Change> changes = recording.changes();
        while (next < changes.size() && changes.get(next).began() < moment) {
            open.add(changes.get(next++));
        }
        return next;
    }

    /// Makes a change durable if a sync that began then covers it.
    private boolean settle(Change change, long syncBegan) {
        if (change.ended() >= syncBegan) {
            return false;
        }
        for (Map.Entry<Integer, byte[]> value : values(change).entrySet()) {
            durable.merge(
                    value.getKey(),
                    new Version(change.began(), value.getValue()),
                    (old, fresh) -> old.since > fresh.since ? old : fresh);
        }
        return true;
    }

    private static Map<Integer, byte[]> values(Change change) {
        if (change.size() >= 0) {
            return Map.of(LENGTH, new byte[(int) change.size()]);
        }
        Map<Integer, byte[]> values = new TreeMap<>();
        for (int at = 0; at < change.values().length; at += SECTOR_BYTES) {
            values.put(
                    change.sector() + at / SECTOR_BYTES,
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
        Map<Integer, List<Version>> found = new TreeMap<>();
        for (Change change : open) {
            for (Map.Entry<Integer, byte[]> value : values(change).entrySet()) {
                int sector = value.getKey();
                Version first = durable.getOrDefault(sector, initial(sector));
                List<Version> versions =
                        found.computeIfAbsent(sector, _ -> new ArrayList<>(List.of(first)));
                boolean same = Arrays.equals(versions.getLast().bytes, value.getValue());
                if (!same && change.began() > first.since) {
                    versions.add(new Version(change.began(), value.getValue()));
                }
            }
        }
        List<Place> places = new ArrayList<>();
        found.forEach(
                (sector, versions) -> {
                    if (versions.size() > 1) {
                        places.add(new Place(sector, versions));
                    }
                });
        return places;
    }

    private Version initial(int sector) {
        if (sector == LENGTH) {
            return new Version(0, new byte[recording.initial().length]);
        }
        int from = Math.min(sector * SECTOR_BYTES, recording.initial().length);
        int to = Math.min(from + SECTOR_BYTES, recording.initial().length);
        byte[] bytes = Arrays.copyOfRange(recording.initial(), from, to);
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
            long moment = open.get(random.nextInt(open.size())).began();
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
        Map<Integer, byte[]> values = new TreeMap<>();
        durable.forEach((sector, version) -> values.put(sector, version.bytes));
        StringBuilder survived = new StringBuilder();
        for (int index = 0; index < choice.length; index++) {
            Place place = places.get(index);
            values.put(place.sector, place.versions.get(choice[index]).bytes);
            survived.append(
                            place.sector == LENGTH
                                    ? "length"
                                    : "0x%x".formatted(place.sector * 512))
                    .append(" is %d of %d, ".formatted(choice[index], place.versions.size() - 1));
        }
        byte[] length = values.remove(LENGTH);
        byte[] contents =
                Arrays.copyOf(
                        recording.initial(),
                        length == null ? recording.initial().length : length.length);
        values.forEach(
                (sector, value) -> {
                    int at = sector * SECTOR_BYTES;
                    int fits = Math.clamp(contents.length - at, 0, SECTOR_BYTES);
                    if (fits > 0) {
                        System.arraycopy(value, 0, contents, at, fits);
                    }
                });
        return new State(contents, instant, survived.toString());
    }
}
