package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Folder;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.check.Qcow2Checker;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.Random;

/// What an image is after the file below it has failed somewhere in the middle of a request.
class FailureTest {
    private static final int SIZE = 1 << 20;
    private static final int CLUSTER = 512;

    /// An L2 table maps 32 KiB here, and the smallest cache holds eight.
    private static final int TABLE_COVERAGE = CLUSTER * CLUSTER / Long.BYTES;

    /// One refcount block's: no request takes more at once.
    private static final int ALLOCATED_MAX = CLUSTER / Short.BYTES;

    @TempDir(factory = Folder.class)
    private Path folder;

    /// A write to all of the disk, whose L2 tables do not fit the cache, meets reads that fail,
    /// each of them in turn: those that find the old mappings, and those before the new ones are
    /// set.
    @Test
    void a_write_that_cannot_read_a_table_loses_nothing_and_the_next_one_works() throws Exception {
        byte[] before = new byte[SIZE];
        byte[] image = imageWithEveryTable(before);
        byte[] fresh = BlockDeviceContract.randomBytes(new Random(2), SIZE);
        int failures = 0;
        int halfway = 0;
        for (boolean failed = true; failed; ) {
            RecordingDevice file = new RecordingDevice(image);
            FaultDevice faults = new FaultDevice(new Gate(file));
            try (Qcow2Device device = open(faults)) {
                Gate gate = new Gate(device);
                FaultDevice.Rule rule =
                        faults.add(
                                Fault.error(Kind.IO).on(Operation.READ).after(failures).times(1));
                failed = fails(gate, fresh);
                rule.remove();
                byte[] found = DiskModel.read(gate, 0, SIZE);
                halfway += checkEachIsOldOrNew(found, before, fresh) ? 1 : 0;
                gate.write(0, ByteBuffer.wrap(fresh), WriteFlag.NONE);
                gate.flush();
                assertArrayEquals(fresh, DiskModel.read(gate, 0, SIZE), "failure " + failures);
            }
            CheckResult result = Qcow2Checker.check(new Gate(file), Repair.NONE, _ -> {});
            assertEquals(0, result.corruptions(), "failure " + failures);
            assertTrue(result.leaks() <= ALLOCATED_MAX, () -> result.leaks() + " clusters leaked");
            failures += failed ? 1 : 0;
        }
        assertTrue(failures > SIZE / TABLE_COVERAGE, failures + " reads");
        assertTrue(halfway > 0, "no write ended half-way");
    }

    private static boolean fails(Gate gate, byte[] bytes) {
        try {
            gate.write(0, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            return false;
        } catch (BlockException e) {
            assertTrue(e.getMessage().contains("injected fault"), e::getMessage);
            return true;
        }
    }

    /// Returns whether there are both.
    private static boolean checkEachIsOldOrNew(byte[] found, byte[] before, byte[] fresh) {
        int written = 0;
        for (int at = 0; at < SIZE; at += CLUSTER) {
            boolean isNew = Arrays.equals(found, at, at + CLUSTER, fresh, at, at + CLUSTER);
            assertTrue(
                    isNew || Arrays.equals(found, at, at + CLUSTER, before, at, at + CLUSTER),
                    "the cluster at %d is neither what it was nor what it should be".formatted(at));
            written += isNew ? 1 : 0;
        }
        return written > 0 && written < SIZE / CLUSTER;
    }

    /// An image in which each L2 table maps something that a snapshot shares, so that no cluster
    /// can be written in place, in a file that is long enough.
    private byte[] imageWithEveryTable(byte[] contents) throws Exception {
        Path image = folder.resolve("image.qcow2");
        Recipe recipe = Recipe.of("cluster_size=" + CLUSTER, SIZE);
        recipe.create(image);
        RecordingDevice file = new RecordingDevice(Files.readAllBytes(image));
        try (Qcow2Device device = open(file)) {
            for (int at = 0; at < SIZE; at += TABLE_COVERAGE) {
                byte[] bytes = BlockDeviceContract.randomBytes(new Random(at), CLUSTER);
                device.write(at, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                System.arraycopy(bytes, 0, contents, at, CLUSTER);
            }
            SnapshotEntry _ = device.createSnapshot("before", Instant.EPOCH);
        }
        return Arrays.copyOf(file.contents(), 2 * SIZE);
    }

    private static Qcow2Device open(BlockDevice file) throws BlockException {
        return Qcow2Device.open(new Gate(file), null, null, OpenImage.TIGHT, false);
    }
}
