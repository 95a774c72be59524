package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.qcow2.Qcow2Options.Caches;
import dev.lockstep.block.qcow2.Qcow2Options.LazyRefcounts;

import org.junit.jupiter.api.Test;

import java.time.Duration;

/// The sizes of caches follow from the image as QEMU's do.
class Qcow2OptionsTest {
    private static final long UNSAID = Qcow2Options.UNSAID;
    private static final int CLUSTER = 64 << 10;
    private static final int ENTRY = 4096;
    private static final long GIB = 1 << 30;

    @Test
    void a_disk_is_covered_up_to_a_limit_and_refcounts_have_four_clusters() throws Exception {
        assertEquals(new Caches(128 << 10, ENTRY, 4 * CLUSTER), caches(sizes(-1, -1, -1), GIB));
        assertEquals(
                new Caches(32 << 20, ENTRY, 4 * CLUSTER), caches(sizes(-1, -1, -1), 1024 * GIB));
        assertEquals(new Caches(CLUSTER, ENTRY, 4 * CLUSTER), caches(sizes(-1, -1, -1), 512));
        assertEquals(256 << 10, sizes(-1, -1, -1).caches(GIB, CLUSTER, 16).l2Bytes());
    }

    @Test
    void of_a_total_the_tables_take_what_they_can_use() throws Exception {
        assertEquals(
                new Caches(128 << 10, ENTRY, (1 << 20) - (128 << 10)),
                caches(sizes(1 << 20, -1, -1), GIB));
        assertEquals(
                new Caches((1 << 20) - 4 * CLUSTER, ENTRY, 4 * CLUSTER),
                caches(sizes(1 << 20, -1, -1), 1024 * GIB));
        assertEquals(
                new Caches(1 << 20, ENTRY, 1 << 20),
                caches(sizes(2 << 20, 1 << 20, -1), 1024 * GIB));
        assertEquals(
                new Caches(1 << 20, ENTRY, 1 << 20),
                caches(sizes(2 << 20, -1, 1 << 20), 1024 * GIB));
    }

    @Test
    void sizes_that_contradict_each_other_are_refused() {
        assertThrows(BlockException.class, () -> caches(sizes(1 << 20, 1 << 19, 1 << 19), GIB));
        assertThrows(BlockException.class, () -> caches(sizes(1 << 20, 2 << 20, -1), GIB));
        assertThrows(BlockException.class, () -> caches(sizes(1 << 20, -1, 2 << 20), GIB));
        for (long entry : new long[] {0, 256, 3000, 2 * CLUSTER}) {
            assertThrows(
                    BlockException.class,
                    () -> caches(options(-1, -1, entry, -1), GIB),
                    "" + entry);
        }
    }

    @Test
    void an_entry_may_be_a_part_of_a_table() throws Exception {
        assertEquals(512, caches(options(-1, -1, 512, -1), GIB).l2EntryBytes());
    }

    private static Caches caches(Qcow2Options options, long size) throws BlockException {
        return options.caches(size, CLUSTER, 8);
    }

    private static Qcow2Options sizes(long total, long tables, long refcounts) {
        return options(total, tables, UNSAID, refcounts);
    }

    private static Qcow2Options options(long total, long tables, long entry, long refcounts) {
        return new Qcow2Options(
                LazyRefcounts.AS_IN_IMAGE,
                false,
                false,
                false,
                false,
                total,
                tables,
                entry,
                refcounts,
                Duration.ZERO);
    }
}
