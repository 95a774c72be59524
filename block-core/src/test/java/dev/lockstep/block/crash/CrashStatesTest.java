package dev.lockstep.block.crash;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.raw.RawDevice;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;

class CrashStatesTest {
    private static final int SECTOR = RecordingDevice.SECTOR_BYTES;

    private final Random random = new Random(Seeds.next("CrashStatesTest"));

    @Test
    void between_two_syncs_every_subset_of_the_sectors_may_survive() throws Exception {
        RecordingDevice device = new RecordingDevice(new byte[8 * SECTOR]);
        Gate gate = new Gate(device);
        write(gate, 0, 1, 2);
        write(gate, 4, 1, 1);
        gate.flush();
        write(gate, 1, 2, 1);
        assertEquals(
                Set.of(
                        "00000000",
                        "10000000",
                        "01000000",
                        "11000000",
                        "00001000",
                        "10001000",
                        "01001000",
                        "11001000",
                        "12001000"),
                states(device, 8));
    }

    @Test
    void a_sector_that_was_written_twice_has_either_value_but_not_an_older_one() throws Exception {
        RecordingDevice device = new RecordingDevice(new byte[2 * SECTOR]);
        Gate gate = new Gate(device);
        write(gate, 0, 1, 1);
        gate.flush();
        write(gate, 0, 2, 1);
        write(gate, 0, 3, 1);
        assertEquals(Set.of("00", "10", "20", "30"), states(device, 8));
        gate.flush();
        write(gate, 1, 4, 1);
        assertEquals(Set.of("00", "10", "20", "30", "34"), states(device, 8));
    }

    @Test
    void a_new_length_may_survive_or_not_and_what_lies_beyond_it_does_not() throws Exception {
        RecordingDevice device = new RecordingDevice(new byte[SECTOR]);
        Gate gate = new Gate(device);
        gate.resize(2 * SECTOR);
        write(gate, 1, 1, 1);
        assertEquals(Set.of("0", "00", "01"), states(device, 8));
        gate.flush();
        gate.resize(SECTOR);
        assertEquals(Set.of("0", "00", "01"), states(device, 8));
    }

    @Test
    void of_many_sectors_the_treacherous_subsets_are_tried() throws Exception {
        RecordingDevice device = new RecordingDevice(new byte[64 * SECTOR]);
        Gate gate = new Gate(device);
        for (int sector = 0; sector < 64; sector++) {
            write(gate, sector, 1, 1);
        }
        Set<String> states = states(device, 1000);
        assertTrue(states.contains("0".repeat(64)), "nothing");
        assertTrue(states.contains("1".repeat(64)), "everything");
        assertTrue(states.stream().anyMatch(s -> s.matches("1+0+")), "what came first");
        assertTrue(states.stream().anyMatch(s -> s.matches("0*10*")), "one alone");
        assertTrue(states.stream().anyMatch(s -> s.matches("1*01*")), "all but one");
        assertTrue(states.size() > 400, () -> "only " + states.size());
    }

    @Test
    void a_raw_disk_keeps_what_was_flushed() throws Exception {
        assertTrue(judgeRandomHistory(false) > 200);
    }

    @Test
    void a_disk_that_forgets_to_flush_is_found_out() {
        assertThrows(AssertionError.class, () -> judgeRandomHistory(true));
    }

    /// Writers of their own stripes and flushes, each state judged.
    private long judgeRandomHistory(boolean forgetful) throws Exception {
        int writers = 4;
        int sectors = 96;
        long seed = random.nextLong();
        RecordingDevice disk = new RecordingDevice(new byte[sectors * SECTOR]);
        Gate below = new Gate(disk);
        Gate gate = new Gate(forgetful ? new Forgetful(below) : RawDevice.whole(below));
        GuestHistory guest = new GuestHistory(new byte[sectors * SECTOR]);
        BlockDeviceContract.runAll(
                writers,
                writer -> {
                    Random own = new Random(seed + writer);
                    for (int step = 0; step < 20; step++) {
                        int sector = own.nextInt(sectors / writers) * writers + writer;
                        int start = own.nextInt(SECTOR);
                        byte[] bytes =
                                BlockDeviceContract.randomBytes(
                                        own, 1 + own.nextInt(SECTOR - start));
                        long began = disk.tick();
                        gate.write(sector * SECTOR + start, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                        guest.changed(began, disk.tick(), sector * SECTOR + start, bytes, false);
                        if (own.nextInt(4) == 0) {
                            long flushBegan = disk.tick();
                            gate.flush();
                            guest.flushed(flushBegan, disk.tick());
                        }
                    }
                });
        guest.check(0, DiskModel.read(gate, 0, sectors * SECTOR));
        return new CrashStates(disk)
                .judgeEach(
                        random, 50, state -> guest.checkCrashed(state.instant(), state.contents()));
    }

    private static final class Forgetful extends FilterDevice {
        Forgetful(Gate child) {
            super(child);
        }

        @Override
        public void flush() {}
    }

    private static void write(Gate gate, int sector, int value, int count) throws Exception {
        byte[] bytes = new byte[count * SECTOR];
        Arrays.fill(bytes, (byte) value);
        gate.write((long) sector * SECTOR, ByteBuffer.wrap(bytes), WriteFlag.NONE);
    }

    /// Each state as a digit a sector.
    private Set<String> states(RecordingDevice device, int most) throws Exception {
        Set<String> states = new HashSet<>();
        new CrashStates(device)
                .judgeEach(
                        random,
                        most,
                        state -> {
                            StringBuilder digits = new StringBuilder();
                            for (int at = 0; at < state.contents().length; at += SECTOR) {
                                digits.append(state.contents()[at]);
                            }
                            states.add(digits.toString());
                        });
        return states;
    }
}
