package dev.lockstep.block.qcow2.layout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Seeds;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;

class TableEntriesTest {
    private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

    private static final List<SnapshotEntry> SNAPSHOTS =
            List.of(
                    new SnapshotEntry(
                            "1",
                            "before the update",
                            0x50000,
                            4,
                            1_700_000_000,
                            5,
                            77,
                            5L << 32,
                            OptionalLong.of(1 << 30),
                            OptionalLong.of(3),
                            ByteBuffer.wrap(new byte[] {9, 8, 7})),
                    new SnapshotEntry(
                            "2",
                            "",
                            0x60000,
                            4,
                            0xffff_ffffL,
                            6,
                            78,
                            11,
                            OptionalLong.empty(),
                            OptionalLong.empty(),
                            NOTHING));

    private static final List<BitmapEntry> BITMAPS =
            List.of(
                    new BitmapEntry("b", 0x10000, 3, true, false, false, 16, NOTHING),
                    new BitmapEntry(
                            "bitmäp 1",
                            0x20000,
                            1,
                            false,
                            true,
                            true,
                            9,
                            ByteBuffer.wrap(new byte[] {1, 2, 3})));

    private static Header header(int directoryBytes) {
        return Header.builder()
                .snapshots(0x10000, SNAPSHOTS.size())
                .bitmaps(new BitmapsExtension(BITMAPS.size(), directoryBytes, 0x20000))
                .build();
    }

    @Test
    void snapshots_that_were_written_are_read_again() throws Exception {
        ByteBuffer table = SnapshotEntry.encodeTable(SNAPSHOTS);
        assertEquals(0, table.remaining() % 8);
        assertEquals(SNAPSHOTS, SnapshotEntry.parseTable(table, header(0), "image"));
    }

    @Test
    void a_snapshot_table_that_was_not_read_to_its_end_asks_for_more() throws Exception {
        ByteBuffer table = SnapshotEntry.encodeTable(SNAPSHOTS);
        for (int bytes = 0; bytes < table.limit() - 8; bytes++) {
            assertNull(SnapshotEntry.parseTable(table.slice(0, bytes), header(0), "image"));
        }
    }

    @Test
    void bitmaps_that_were_written_are_read_again() throws Exception {
        ByteBuffer directory = BitmapEntry.encodeDirectory(BITMAPS);
        Header header = header(directory.remaining());
        assertEquals(BITMAPS, BitmapEntry.parseDirectory(directory, header, "image"));
    }

    @Test
    void two_bitmaps_do_not_share_a_name() {
        ByteBuffer directory =
                BitmapEntry.encodeDirectory(List.of(BITMAPS.getFirst(), BITMAPS.getFirst()));
        Header header = header(directory.remaining());
        BlockException e =
                assertThrows(
                        BlockException.class,
                        () -> BitmapEntry.parseDirectory(directory, header, "image"));
        assertTrue(e.getMessage().contains("entry 1: its name"), e.getMessage());
    }

    @Test
    void damaged_tables_are_refused_or_read() {
        Random random = new Random(Seeds.next("damaged tables"));
        byte[] snapshots = SnapshotEntry.encodeTable(SNAPSHOTS).array();
        byte[] bitmaps = BitmapEntry.encodeDirectory(BITMAPS).array();
        for (int round = 0; round < 20_000; round++) {
            ByteBuffer table = damaged(snapshots, random);
            ByteBuffer directory = damaged(bitmaps, random);
            try {
                SnapshotEntry.parseTable(table, header(0), "image");
                BitmapEntry.parseDirectory(directory, header(directory.limit()), "image");
            } catch (BlockException e) {
                assertTrue(e.getMessage().contains(": entry "), e.getMessage());
            }
        }
    }

    private static ByteBuffer damaged(byte[] sound, Random random) {
        ByteBuffer bytes = ByteBuffer.wrap(sound.clone());
        for (int damage = random.nextInt(4); damage >= 0; damage--) {
            bytes.put(random.nextInt(bytes.limit()), (byte) random.nextInt());
        }
        return random.nextBoolean() ? bytes : bytes.limit(random.nextInt(bytes.limit()));
    }
}
