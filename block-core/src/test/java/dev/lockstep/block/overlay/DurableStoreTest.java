package dev.lockstep.block.overlay;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32C;

class DurableStoreTest {
    private static final int CLUSTER = OverlayFiles.CLUSTER;

    /// Two sectors of the map.
    private static final int SIZE = (MapSector.CLUSTERS + 5) * CLUSTER - 512;

    private final RecordingDevice map = new RecordingDevice(new byte[0]);
    private final Gate data = new Gate(FileDevice.inMemory("data", 0));
    private final Gate below = new Gate(FileDevice.inMemory("below", SIZE));
    private final BufferOverlay overlay;
    private final Gate gate;

    DurableStoreTest() throws BlockException {
        below.write(0, filled(SIZE, 7), WriteFlag.NONE);
        DurableStore.create(
                new Gate(map), data, MapHeader.create(SIZE, CLUSTER, "base", "raw", "d"));
        overlay = open(map);
        gate = new Gate(overlay);
    }

    @AfterEach
    void close() throws Exception {
        data.device().close();
        below.device().close();
    }

    private BufferOverlay open(RecordingDevice somewhere) throws BlockException {
        DurableStore store = DurableStore.open(new Gate(somewhere), data);
        return BufferOverlay.open("overlay", below, store, ByteBudget.unlimited());
    }

    private static ByteBuffer filled(int length, int value) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) value);
        return ByteBuffer.wrap(bytes);
    }

    @Test
    void the_map_is_what_its_document_says() throws Exception {
        write(3 * CLUSTER + 1, 1);
        write(SIZE - 1, 1);
        gate.flush();
        ByteBuffer found = ByteBuffer.wrap(map.contents()).order(ByteOrder.LITTLE_ENDIAN);
        assertEquals(8192 + 2 * 512, found.limit());
        assertEquals(0x594c564f5054534cL, found.getLong(0), "LSTPOVLY");
        assertEquals(1, found.getInt(8));
        assertEquals(12, found.getInt(12));
        assertEquals(0, found.getLong(16));
        assertEquals(1, found.getLong(24));
        assertEquals(SIZE, found.getLong(32));
        assertEquals(4, found.getShort(64));
        assertEquals(3, found.getShort(66));
        assertEquals(1, found.getShort(68));
        assertEquals(
                ByteBuffer.wrap("baserawd".getBytes(StandardCharsets.US_ASCII)),
                found.slice(72, 8));
        assertEquals(1, found.getLong(8192));
        assertEquals(0, found.getInt(8200));
        assertEquals(1 << 3, found.get(8192 + 16));
        assertEquals(1, found.getInt(8192 + 512 + 8));
        assertEquals(1 << 4, found.get(8192 + 512 + 16));
        overlay.makeEmpty();
        found = ByteBuffer.wrap(map.contents()).order(ByteOrder.LITTLE_ENDIAN);
        assertEquals(0, found.getLong(16), "the slot before stays");
        assertEquals(1, found.getLong(4096 + 16));
        assertEquals(2, found.getLong(4096 + 24));
    }

    @Test
    void emptying_shows_the_image_below_again_and_what_comes_after_is_kept() throws Exception {
        write(0, 3 * CLUSTER);
        gate.flush();
        overlay.makeEmpty();
        assertEquals(0, overlay.heldBytes());
        assertEquals(filled(SIZE, 7), ByteBuffer.wrap(DiskModel.read(gate, 0, SIZE)));
        write(CLUSTER, 5);
        gate.flush();
        ByteBuffer expected = filled(SIZE, 7);
        expected.put(CLUSTER, filled(5, 1).array());
        BufferOverlay again = open(map);
        assertEquals(CLUSTER, again.heldBytes());
        assertEquals(expected, ByteBuffer.wrap(DiskModel.read(new Gate(again), 0, SIZE)));
    }

    @Test
    void another_image_below_is_named_for_good() throws Exception {
        write(0, 1);
        gate.flush();
        DurableStore store = DurableStore.open(new Gate(map), data);
        store.nameBacking("other", "qcow2");
        MapHeader header = DurableStore.header(new Gate(map));
        assertEquals(List.of("other", "qcow2", "d"), names(header));
        assertEquals(CLUSTER, open(map).heldBytes());
    }

    private static List<String> names(MapHeader header) {
        return List.of(header.backingFile(), header.backingFormat(), header.dataFile());
    }

    @Test
    void trimming_gives_back_what_is_not_held() throws Exception {
        write(0, 3 * CLUSTER);
        overlay.drop(CLUSTER, CLUSTER);
        overlay.trim();
        byte[] left = DiskModel.read(data, 0, 3 * CLUSTER);
        assertEquals(1, left[CLUSTER - 1]);
        assertEquals(0, left[CLUSTER]);
        assertEquals(1, left[2 * CLUSTER]);
    }

    @Test
    void what_is_damaged_is_told_and_not_opened() throws Exception {
        write(0, CLUSTER);
        write(SIZE - 1, 1);
        gate.flush();
        byte[] whole = map.contents();
        assertDamaged(with(whole, 8192 + 20, 1), "0x2000");
        assertDamaged(with(whole, 8192 + 512 + 8, 0), "0x2200");
        assertDamaged(with(whole, 8192 + 512 + 16, 0xff), "0x2200");
        assertDamaged(Arrays.copyOf(whole, whole.length - 1), "should have");
        assertDamaged(with(whole, 40, 1), "headers");
        assertDamaged(Arrays.copyOf(whole, 4096), "should have");
        assertThrows(BlockException.class, () -> open(new RecordingDevice(new byte[0])));
        data.resize(SIZE - 512);
        assertDamaged(whole, "should have");
    }

    @Test
    void a_map_whose_newest_header_is_damaged_does_not_pass_for_an_older_one() throws Exception {
        overlay.makeEmpty();
        write(0, CLUSTER);
        gate.flush();
        assertDamaged(with(map.contents(), 4096 + 100, 1), "0x2000");
    }

    @Test
    void however_a_map_is_changed_it_opens_or_is_refused_with_a_sentence() throws Exception {
        write(0, 5 * CLUSTER);
        overlay.makeEmpty();
        write(CLUSTER, 3 * CLUSTER);
        gate.flush();
        Random random = new Random(Seeds.next("DurableStoreTest"));
        byte[] whole = map.contents();
        int refused = 0;
        for (int round = 0; round < 2000; round++) {
            byte[] changed = whole.clone();
            for (int change = random.nextInt(4); change >= 0; change--) {
                int near = random.nextInt(3) * 4096 + random.nextInt(80);
                int at = random.nextBoolean() ? near : random.nextInt(whole.length);
                changed[at] = (byte) random.nextInt();
            }
            if (random.nextBoolean()) {
                seal(changed);
            }
            try {
                Gate read = new Gate(open(new RecordingDevice(changed)));
                int length = (int) Math.min(read.size(), 4L * CLUSTER);
                assertEquals(length, DiskModel.read(read, 0, length).length);
            } catch (BlockException e) {
                refused++;
                assertTrue(
                        String.valueOf(e.getMessage()).matches("(recorded|RAM) file.*"),
                        e::toString);
            }
        }
        assertTrue(refused > 200, "hardly any were refused");
    }

    /// Gives both headers the checksums that they should have.
    private static void seal(byte[] map) {
        for (int slot = 0; slot < 8192; slot += 4096) {
            CRC32C crc = new CRC32C();
            crc.update(map, slot, 4092);
            ByteBuffer.wrap(map)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putInt(slot + 4092, (int) crc.getValue());
        }
    }

    @Test
    void after_a_header_that_may_not_be_stored_nothing_is_durable_any_more() throws Exception {
        FaultDevice faulty = new FaultDevice(new Gate(map));
        DurableStore store = DurableStore.open(new Gate(faulty), data);
        Gate changed =
                new Gate(BufferOverlay.open("overlay", below, store, ByteBudget.unlimited()));
        changed.write(0, ByteBuffer.allocate(1), WriteFlag.NONE);
        FaultDevice.Rule broken = faulty.add(Fault.error(Kind.IO).on(Operation.FLUSH).afterwards());
        assertThrows(BlockException.class, store::empty);
        broken.remove();
        assertThrows(BlockException.class, changed::flush);
        assertThrows(BlockException.class, store::empty);
        assertEquals(0, DiskModel.read(changed, 0, 1)[0]);
    }

    @Test
    void a_disk_that_no_memory_could_map_is_refused() {
        assertThrows(
                BlockException.class,
                () -> MapHeader.create(Long.MAX_VALUE, CLUSTER, "base", "raw", "data"));
        assertThrows(
                BlockException.class, () -> MapHeader.create(512, CLUSTER + 1, "base", "", "data"));
        assertThrows(
                BlockException.class,
                () -> MapHeader.create(512, CLUSTER, "b".repeat(1024), "", "data"));
    }

    private void write(int offset, int length) throws BlockException {
        gate.write(offset, filled(length, 1), WriteFlag.NONE);
    }

    private static byte[] with(byte[] bytes, int at, int value) {
        byte[] changed = bytes.clone();
        assertTrue(changed[at] != (byte) value, "nothing changes");
        changed[at] = (byte) value;
        return changed;
    }

    private void assertDamaged(byte[] changed, String where) {
        BlockException refused =
                assertThrows(BlockException.class, () -> open(new RecordingDevice(changed)));
        assertEquals(Kind.CORRUPT, refused.kind());
        assertTrue(String.valueOf(refused.getMessage()).contains(where), refused::toString);
    }
}
