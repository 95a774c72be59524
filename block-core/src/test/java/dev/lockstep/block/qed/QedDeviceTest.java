package dev.lockstep.block.qed;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;

/// What a QED image does beyond what every device does.
class QedDeviceTest {
    private static final int AUTOCLEAR = 32;
    private static final Shape SHAPE = new Shape(4096, 2, 1 << 20, 300_032);

    @TempDir(factory = Folder.class)
    private Path folder;

    private final RecordingDevice disk;
    private final Gate file;

    QedDeviceTest() throws BlockException {
        disk = new RecordingDevice(SHAPE.made());
        file = new Gate(disk);
    }

    private QedDevice open() throws BlockException {
        return QedDevice.open(file, SHAPE.below(), false);
    }

    private boolean needsCheck() throws BlockException {
        return QedDevice.header(file).has(Header.NEED_CHECK);
    }

    private static ByteBuffer bytes(int count, int value) {
        byte[] bytes = new byte[count];
        Arrays.fill(bytes, (byte) value);
        return ByteBuffer.wrap(bytes);
    }

    @Test
    void the_check_is_needed_from_the_first_new_cluster_to_the_closing() throws Exception {
        QedDevice device = open();
        device.read(0, ByteBuffer.allocate(4096));
        assertFalse(needsCheck());
        device.write(8192, bytes(4096, 7), WriteFlag.NONE);
        assertTrue(needsCheck());
        device.flush();
        assertTrue(needsCheck());
        device.close();
        assertFalse(needsCheck());
        assertEquals(0, disk.size() % 4096);
        assertTrue(QedChecker.check(file, Repair.NONE, _ -> {}).isClean());
    }

    @Test
    void an_image_that_needs_a_check_can_be_read_as_it_is_and_is_checked_for_writing()
            throws Exception {
        QedDevice device = open();
        device.write(8192, bytes(4096, 7), WriteFlag.NONE);
        device.flush();
        // Not closed: as if the process had ended here.
        QedDevice reader = QedDevice.open(Gate.readOnly(disk), SHAPE.below(), true);
        assertEquals(7, DiskModel.read(reader, 8192, 1)[0]);
        reader.close();
        assertTrue(needsCheck());
        QedDevice.open(file, SHAPE.below(), false).close();
        assertFalse(needsCheck());
    }

    @Test
    void bits_that_nobody_knows_are_cleared_by_the_first_change() throws Exception {
        ByteBuffer unknown = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        file.write(AUTOCLEAR, unknown.putLong(0, 5), WriteFlag.NONE);
        QedDevice device = open();
        assertEquals(5, QedDevice.header(file).autoclear());
        device.write(0, bytes(1, 7), WriteFlag.NONE);
        assertEquals(0, QedDevice.header(file).autoclear());
        device.close();
    }

    @Test
    void what_it_grows_by_reads_as_zeroes_whatever_lies_below() throws Exception {
        Shape small = new Shape(4096, 2, 100_352, 300_032);
        RecordingDevice grown = new RecordingDevice(small.made());
        QedDevice device = QedDevice.open(new Gate(grown), small.below(), false);
        Gate gate = new Gate(device);
        byte[] before = DiskModel.read(gate, 0, 100_352);
        gate.resize(500_224);
        byte[] after = DiskModel.read(gate, 0, 500_224);
        assertArrayEquals(Arrays.copyOf(before, 500_224), after);
        assertEquals(
                Kind.UNSUPPORTED,
                assertThrows(BlockException.class, () -> gate.resize(512)).kind());
        assertEquals(
                Kind.INVALID,
                assertThrows(BlockException.class, () -> gate.resize(500_225)).kind());
        assertEquals(
                Kind.INVALID,
                assertThrows(BlockException.class, () -> gate.resize(1L << 60)).kind());
        device.close();
        assertEquals(500_224, QedDevice.header(new Gate(grown)).size());
    }

    @Test
    void places_that_were_given_in_order_lie_in_order() throws Exception {
        QedDevice device = open();
        Gate gate = new Gate(device);
        assertFalse(gate.place(0, 4096), "something is below");
        long start = 400 << 10;
        byte[] before = DiskModel.read(gate, 0, SHAPE.size());
        // The table that maps them comes behind the first.
        assertTrue(gate.place(start - 4096, 4096));
        assertTrue(gate.place(start, 64 << 10));
        assertTrue(gate.place(start + (64 << 10), 64 << 10));
        assertArrayEquals(before, DiskModel.read(gate, 0, SHAPE.size()));
        gate.write(start + (64 << 10), bytes(64 << 10, 2), WriteFlag.NONE);
        gate.write(start, bytes(64 << 10, 1), WriteFlag.NONE);
        assertEquals(128 << 10, device.locate(start, 256 << 10).length());
        device.close();
        CheckResult result = QedChecker.check(file, Repair.NONE, _ -> {});
        assertEquals(33, result.allocatedClusters());
        assertEquals(1, result.fragmentedClusters());
    }

    @Test
    void another_backing_file_is_recorded_wherever_the_old_name_is() throws Exception {
        String name = "x".repeat(1023);
        for (String each : new String[] {name, "short", name.replace('x', 'y'), "base.raw"}) {
            QedDevice device = open();
            device.changeBacking(each, "qcow2");
            device.close();
            assertEquals(each, QedDevice.header(file).backingFile());
            assertFalse(QedDevice.header(file).has(Header.BACKING_RAW));
        }
        QedDevice device = open();
        assertThrows(BlockException.class, () -> device.changeBacking(name + "x", "raw"));
        device.changeBacking("raw", "raw");
        assertTrue(QedDevice.header(file).has(Header.BACKING_RAW));
        device.changeBacking(null, null);
        assertFalse(QedDevice.header(file).has(Header.BACKING_RAW));
        device.close();
        assertEquals(null, QedDevice.header(file).backingFile());
    }

    @Test
    void an_empty_image_shows_what_lies_below_and_gives_its_space_back() throws Exception {
        QedDevice device = open();
        device.write(100, bytes(500_000, 7), WriteFlag.NONE);
        device.flush();
        device.makeEmpty();
        assertArrayEquals(SHAPE.contents(), DiskModel.read(device, 0, SHAPE.size()));
        device.write(4096, bytes(4096, 9), WriteFlag.NONE);
        byte[] expected = SHAPE.contents();
        Arrays.fill(expected, 4096, 8192, (byte) 9);
        assertArrayEquals(expected, DiskModel.read(device, 0, SHAPE.size()));
        device.close();
        assertTrue(disk.size() < 100_000, () -> disk.size() + " bytes");
        assertTrue(QedChecker.check(file, Repair.NONE, _ -> {}).isClean());
    }

    @Test
    void a_large_sparse_image_opens_and_is_checked_at_once() throws Exception {
        Path image = folder.resolve("large.qed");
        Host.run("qemu-img", "create", "-q", "-f", "qed", image.toString(), "60T");
        long began = System.nanoTime();
        try (FileDevice lower = FileDevice.open(FileOptions.of(image))) {
            Gate gate = new Gate(lower);
            QedDevice device = QedDevice.open(gate, null, false);
            device.write(50L << 40, bytes(4096, 7), WriteFlag.NONE);
            Extent first = new Gate(device).extents(0, 50L << 40).getFirst();
            assertEquals(Extent.Kind.HOLE, first.kind());
            device.close();
            CheckResult result = QedChecker.check(gate, Repair.NONE, _ -> {});
            assertTrue(result.isClean());
            assertEquals(1, result.allocatedClusters());
        }
        Duration took = Duration.ofNanos(System.nanoTime() - began);
        assertTrue(took.compareTo(Duration.ofSeconds(2)) < 0, () -> "it took " + took);
        Host.run("qemu-io", "-f", "qed", "-c", "read -P 7 50T 4096", image.toString());
    }
}
