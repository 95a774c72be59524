package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.List;

/// The judge must convict: each test shows it a right disk and a wrong one.
class HistoryTest {
    private final History primary = new History();
    private final History secondary = new History();
    private final ByteBuffer disk = ByteBuffer.allocate(2 * History.SECTOR);

    @Test
    void an_acknowledged_write_that_is_missing_is_found() {
        History.Write write = write(primary, 0);
        assertGuilty(History.Cut.AT_THE_END);
        put(write);
        assertInnocent(History.Cut.AT_THE_END);
    }

    @Test
    void an_unacknowledged_write_may_be_there_or_not() {
        History.Write write = primary.begin(0, History.SECTOR);
        assertInnocent(History.Cut.AT_THE_END);
        put(write);
        assertInnocent(History.Cut.AT_THE_END);
    }

    @Test
    void an_older_value_under_a_newer_acknowledged_one_is_found() {
        History.Write older = write(primary, 0);
        History.Write newer = write(primary, 0);
        put(older);
        assertGuilty(History.Cut.AT_THE_END);
        put(newer);
        assertInnocent(History.Cut.AT_THE_END);
    }

    @Test
    void a_write_of_the_primary_after_the_checkpoint_is_found() {
        History.Write kept = write(primary, 0);
        History.Cut cut = new History.Cut(System.nanoTime(), System.nanoTime());
        History.Write dropped = write(primary, 0);
        put(dropped);
        assertGuilty(cut);
        put(kept);
        assertInnocent(cut);
    }

    @Test
    void a_write_of_the_secondary_before_the_checkpoint_is_found() {
        History.Write dropped = write(secondary, 0);
        History.Cut cut = new History.Cut(System.nanoTime(), System.nanoTime());
        History.Write kept = write(secondary, 1);
        put(kept);
        assertInnocent(cut);
        put(dropped);
        assertGuilty(cut);
    }

    @Test
    void a_torn_sector_is_found() {
        put(write(primary, 0));
        disk.putLong(64, 99);
        assertGuilty(History.Cut.AT_THE_END);
    }

    @Test
    void a_sector_in_the_wrong_place_is_found() {
        History.Write write = write(primary, 0);
        disk.put(0, write.payload(), 0, History.SECTOR);
        disk.put(History.SECTOR, write.payload(), 0, History.SECTOR);
        assertGuilty(History.Cut.AT_THE_END);
    }

    private static History.Write write(History history, int sector) {
        History.Write write = history.begin((long) sector * History.SECTOR, History.SECTOR);
        write.acknowledged();
        return write;
    }

    private void put(History.Write write) {
        disk.put((int) write.offset, write.payload(), 0, write.length);
    }

    private void assertInnocent(History.Cut cut) {
        assertEquals(List.of(), History.judge(disk, primary, secondary, cut));
    }

    private void assertGuilty(History.Cut cut) {
        assertNotEquals(List.of(), History.judge(disk, primary, secondary, cut));
    }
}
