package dev.lockstep.block.qed;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Images that somebody made to do harm, or that a disk has damaged.
class HostileQedTest {
    private static final Shape SHAPE = new Shape(4096, 2, 4 << 20, 0);
    private static final int L1 = 4096;
    private static final int L2 = L1 + 8192;
    private static final int DATA = L2 + 8192;
    private static final int IMAGES = 600;

    /// An image with four clusters of data, closed.
    private static byte[] image() throws BlockException {
        RecordingDevice file = new RecordingDevice(SHAPE.made());
        QedDevice device = QedDevice.open(new Gate(file), null, false);
        Gate gate = new Gate(device);
        // The L2 table comes first in the file if its first entry is a zero cluster's.
        gate.write(0, ByteBuffer.wrap(new byte[] {1}), WriteFlag.NONE);
        gate.write(4096, ByteBuffer.wrap(new byte[3 * 4096 - 1]), WriteFlag.NONE);
        device.close();
        return file.contents();
    }

    private static byte[] with(byte[] image, int offset, int bytes, long value) {
        ByteBuffer buffer = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
        if (bytes == 4) {
            buffer.putInt(offset, (int) value);
        } else {
            buffer.putLong(offset, value);
        }
        return image;
    }

    private static @Nullable String refusal(byte[] image) {
        try {
            QedDevice.open(new Gate(new RecordingDevice(image)), null, true).close();
            return null;
        } catch (BlockException e) {
            return e.getMessage();
        }
    }

    private static void assertRefused(String field, int offset, int bytes, long value)
            throws BlockException {
        String message = refusal(with(image(), offset, bytes, value));
        assertTrue(
                message != null && message.contains(field) && message.lines().count() == 1,
                () -> "%s = %d: %s".formatted(field, value, message));
    }

    @Test
    void every_field_of_the_header_is_checked_and_named() throws Exception {
        assertRefused("magic", 0, 4, 1);
        for (long size : new long[] {0, 2048, 4097, 1L << 27, -1, 1L << 31}) {
            assertRefused("cluster_size", 4, 4, size);
        }
        for (long size : new long[] {0, 3, 32, -1, 1L << 31}) {
            assertRefused("table_size", 8, 4, size);
        }
        for (long size : new long[] {0, 100, -1, 1L << 31}) {
            assertRefused("header_size", 12, 4, size);
        }
        assertRefused("feature bits", 16, 8, 8);
        assertRefused("feature bits", 16, 8, Long.MIN_VALUE);
        for (long offset : new long[] {0, 1, 4097, 1 << 30, -4096, Long.MIN_VALUE}) {
            assertRefused("l1_table_offset", 40, 8, offset);
        }
        for (long size : new long[] {-512, 511, 1L << 60, Long.MIN_VALUE}) {
            assertRefused("image_size", 48, 8, size);
        }
        byte[] backed = with(image(), 16, 8, Header.BACKING_FILE);
        assertTrue(String.valueOf(refusal(backed)).contains("backing_filename_size"));
        with(backed, 60, 4, 1023);
        with(backed, 56, 4, 4000);
        assertTrue(String.valueOf(refusal(backed)).contains("backing_filename_offset"));
        with(backed, 56, 4, -1);
        assertTrue(String.valueOf(refusal(backed)).contains("backing_filename_offset"));
    }

    @Test
    void entries_that_lead_astray_are_refused_and_repaired() throws Exception {
        List<Long> wrong = List.of(4096L, 8192L, 2L, 4097L, 1L << 40, -4096L, Long.MIN_VALUE, -1L);
        byte[] fresh = image();
        int l2 = (int) ByteBuffer.wrap(fresh).order(ByteOrder.LITTLE_ENDIAN).getLong(L1);
        for (int place : new int[] {L1, l2}) {
            for (long value : wrong) {
                RecordingDevice file = new RecordingDevice(with(image(), place, 8, value));
                Gate gate = new Gate(file);
                QedDevice device = QedDevice.open(gate, null, false);
                BlockException e =
                        assertThrows(
                                BlockException.class,
                                () -> device.read(0, ByteBuffer.allocate(512)));
                assertTrue(e.getMessage().contains("entry"), e.getMessage());
                assertThrows(
                        BlockException.class,
                        () -> device.write(0, ByteBuffer.allocate(512), WriteFlag.NONE));
                device.close();
                CheckResult found = QedChecker.check(gate, Repair.NONE, _ -> {});
                assertEquals(1, found.corruptions());
                CheckResult mended = QedChecker.check(gate, Repair.ALL, _ -> {});
                assertEquals(0, mended.corruptions());
                assertEquals(1, mended.corruptionsFixed());
            }
        }
    }

    @Test
    void a_cluster_that_is_used_twice_is_told_and_left() throws Exception {
        byte[] image = image();
        ByteBuffer bytes = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
        int l2 = (int) bytes.getLong(L1);
        bytes.putLong(l2 + 8, bytes.getLong(l2 + 16));
        with(image, 16, 8, Header.NEED_CHECK);
        Gate gate = new Gate(new RecordingDevice(image));
        List<String> findings = new ArrayList<>();
        CheckResult result = QedChecker.check(gate, Repair.ALL, findings::add);
        assertEquals(1, result.corruptions());
        assertTrue(findings.getFirst().contains("more than once"), findings.getFirst());
        BlockException e =
                assertThrows(BlockException.class, () -> QedDevice.open(gate, null, false));
        assertTrue(e.getMessage().contains("could not be repaired"), e.getMessage());
        QedDevice.open(gate, null, true).read(0, ByteBuffer.allocate(512));
    }

    @Test
    void leaks_at_the_end_are_given_back() throws Exception {
        byte[] image = image();
        byte[] longer = Arrays.copyOf(image, image.length + 5 * 4096);
        Gate gate = new Gate(new RecordingDevice(longer));
        assertEquals(5, QedChecker.check(gate, Repair.NONE, _ -> {}).leaks());
        CheckResult result = QedChecker.check(gate, Repair.LEAKS, _ -> {});
        assertEquals(5, result.leaksFixed());
        assertTrue(result.isClean());
        assertEquals(image.length, gate.size());
    }

    @Test
    void random_damage_is_met_with_sentences() throws Exception {
        Random random = new Random(Seeds.next("HostileQedTest"));
        byte[] sound = image();
        int opened = 0;
        for (int round = 0; round < IMAGES; round++) {
            byte[] image = sound.clone();
            for (int damage = 1 + random.nextInt(4); damage > 0; damage--) {
                int area = List.of(0, 16, L1, L2, DATA).get(random.nextInt(5));
                int at = area + random.nextInt(48);
                image[at] =
                        random.nextBoolean()
                                ? (byte) random.nextInt()
                                : (byte) (1 << random.nextInt(8));
            }
            opened += probe(image, random) ? 1 : 0;
        }
        assertTrue(opened > IMAGES / 10, "hardly any was opened");
    }

    private static boolean probe(byte[] image, Random random) {
        boolean opened = false;
        try {
            Gate file = new Gate(new RecordingDevice(image));
            QedDevice device = QedDevice.open(file, null, false);
            opened = true;
            Gate gate = new Gate(device);
            for (int step = 0; step < 10 && gate.size() > 0; step++) {
                long offset = random.nextInt((int) Math.min(gate.size(), 1 << 20));
                int length = (int) Math.min(1 + random.nextInt(20_000), gate.size() - offset);
                try {
                    switch (random.nextInt(4)) {
                        case 0 -> gate.read(offset, ByteBuffer.allocate(length));
                        case 1 -> gate.zero(offset, length, WriteFlag.UNMAP);
                        case 2 -> gate.extents(offset, length);
                        default -> gate.write(offset, ByteBuffer.allocate(length), WriteFlag.NONE);
                    }
                } catch (BlockException e) {
                    assertEquals(1, e.getMessage().lines().count(), e.getMessage());
                }
            }
            device.close();
            QedChecker.check(file, Repair.ALL, _ -> {});
        } catch (BlockException e) {
            assertFalse(e.getMessage().isEmpty());
            assertEquals(1, e.getMessage().lines().count(), e.getMessage());
        }
        return opened;
    }
}
