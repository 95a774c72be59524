package dev.lockstep.block.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.Seeds;

import org.junit.jupiter.api.Test;

import java.util.BitSet;
import java.util.Random;

class ClusterBitmapTest {
    @Test
    void it_agrees_with_a_plain_bit_set() {
        Random random = new Random(Seeds.next("ClusterBitmapTest"));
        int size = 3 * 65_536 + 77;
        ClusterBitmap bitmap = new ClusterBitmap(size);
        BitSet model = new BitSet(size);
        for (int step = 0; step < 20_000; step++) {
            int from = random.nextInt(size);
            int to = from + random.nextInt(Math.min(size - from, step % 50 == 0 ? size : 200) + 1);
            BitSet range = model.get(from, to);
            switch (random.nextInt(6)) {
                case 0, 1 -> {
                    assertEquals(to - from - range.cardinality(), bitmap.set(from, to));
                    model.set(from, to);
                }
                case 2, 3 -> {
                    assertEquals(range.cardinality(), bitmap.clear(from, to));
                    model.clear(from, to);
                }
                case 4 -> {
                    int next = model.nextSetBit(from);
                    assertEquals(next < 0 ? size : next, bitmap.nextSet(from));
                    assertEquals(Math.min(size, model.nextClearBit(from)), bitmap.nextClear(from));
                }
                default -> {
                    assertEquals(range.cardinality() == to - from, bitmap.allSet(from, to));
                    assertEquals(range.isEmpty(), bitmap.noneSet(from, to));
                    assertEquals(model.get(from), bitmap.get(from));
                }
            }
            assertEquals(model.cardinality(), bitmap.count());
        }
        bitmap.clear();
        assertEquals(0, bitmap.count());
        assertEquals(size, bitmap.nextSet(0));
    }

    @Test
    void each_change_of_a_bit_is_counted_once_whoever_makes_it() throws Exception {
        long seed = Seeds.next("ClusterBitmapTest");
        int size = 200_000;
        ClusterBitmap bitmap = new ClusterBitmap(size);
        BlockDeviceContract.runAll(
                8,
                worker -> {
                    Random random = new Random(seed + worker);
                    for (int step = 0; step < 5000; step++) {
                        int from = random.nextInt(size - 300);
                        if (random.nextBoolean()) {
                            bitmap.set(from, from + random.nextInt(300));
                        } else {
                            bitmap.clear(from, from + random.nextInt(300));
                        }
                    }
                });
        long count = 0;
        for (long at = bitmap.nextSet(0); at < size; at = bitmap.nextSet(at + 1)) {
            count++;
        }
        assertEquals(count, bitmap.count());
    }

    @Test
    void a_union_has_the_bits_of_both() {
        ClusterBitmap one = new ClusterBitmap(200_000);
        ClusterBitmap other = new ClusterBitmap(200_000);
        one.set(60, 70);
        other.set(65, 130);
        other.set(199_999);
        one.setAll(other);
        assertTrue(one.allSet(60, 130));
        assertTrue(one.get(199_999));
        assertEquals(71, one.count());
        assertEquals(66, other.count());
    }

    @Test
    void the_map_of_a_large_disk_is_small() {
        ClusterBitmap bitmap = new ClusterBitmap(1L << 32);
        assertTrue(bitmap.set((1L << 32) - 1));
        assertFalse(bitmap.set((1L << 32) - 1));
        assertEquals((1L << 32) - 1, bitmap.nextSet(0));
        assertEquals(0, bitmap.nextClear(0));
        assertThrows(IndexOutOfBoundsException.class, () -> bitmap.get(1L << 32));
        assertThrows(IndexOutOfBoundsException.class, () -> bitmap.set(5, 4));
    }
}
