package dev.lockstep.block.overlay;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;

class BufferOverlayTest extends BlockDeviceContract {
    private static final int CLUSTER = 4096;
    private static final int SIZE = 10 * CLUSTER + 100;

    private final byte[] base = randomBytes(new Random(1), SIZE);
    private final Gate disk = new Gate(new MemoryDevice(SIZE));
    private final AtomicInteger warnings = new AtomicInteger();
    private final ByteBudget budget = new ByteBudget(5 * CLUSTER, () -> warnings.incrementAndGet());
    private final FaultDevice store = new FaultDevice(new Gate(new MemoryDevice(SIZE)));
    private final BufferOverlay overlay;
    private final Gate gate;
    private @Nullable Gate backing;
    private byte @Nullable [] backed;

    BufferOverlayTest() throws BlockException {
        disk.write(0, ByteBuffer.wrap(base), WriteFlag.NONE);
        overlay = new BufferOverlay("buffer", disk, store, CLUSTER, budget);
        gate = new Gate(overlay);
    }

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        Gate below = new Gate(new MemoryDevice(contents.length));
        fill(below, contents);
        backing = below;
        backed = contents.clone();
        MemoryDevice fresh = new MemoryDevice(contents.length);
        return new BufferOverlay("buffer", below, fresh, CLUSTER, ByteBudget.unlimited());
    }

    /// Whatever was done to the overlay, its backing device was not changed.
    @Override
    protected void checkHealth(BlockDevice device) throws Exception {
        byte[] found = DiskModel.read(Objects.requireNonNull(backing), 0, size());
        assertArrayEquals(Objects.requireNonNull(backed), found);
    }

    @Test
    void a_whole_cluster_is_stored_without_reading_the_backing_device() throws Exception {
        disk.fail(new BlockException(Kind.IO, "broken"));
        gate.write(CLUSTER, ByteBuffer.allocate(2 * CLUSTER), WriteFlag.NONE);
        assertEquals(2 * CLUSTER, overlay.heldBytes());
        assertTrue(gate.readNow(CLUSTER, ByteBuffer.allocate(2 * CLUSTER)));
        assertKind(Kind.IO, () -> write(5 * CLUSTER, 10));
        assertEquals(2 * CLUSTER, budget.used());
    }

    @Test
    void a_part_of_a_cluster_brings_the_rest_of_it_from_the_backing_device() throws Exception {
        write(2 * CLUSTER - 10, 20);
        assertEquals(2 * CLUSTER, overlay.heldBytes());
        disk.zero(0, SIZE, WriteFlag.NONE);
        byte[] expected = base.clone();
        Arrays.fill(expected, 2 * CLUSTER - 10, 2 * CLUSTER + 10, (byte) 1);
        byte[] found = DiskModel.read(gate, CLUSTER, 2 * CLUSTER);
        assertArrayEquals(Arrays.copyOfRange(expected, CLUSTER, 3 * CLUSTER), found);
    }

    @Test
    void what_was_preserved_no_longer_follows_the_backing_device() throws Exception {
        overlay.preserve(CLUSTER + 1, CLUSTER);
        overlay.preserve(SIZE - 1, 1);
        assertTrue(overlay.holds(CLUSTER, 2 * CLUSTER));
        assertFalse(overlay.holds(CLUSTER, 2 * CLUSTER + 1));
        disk.zero(CLUSTER, 2 * CLUSTER, WriteFlag.NONE);
        disk.zero(10 * CLUSTER, 100, WriteFlag.NONE);
        assertArrayEquals(base, DiskModel.read(gate, 0, SIZE));
        overlay.preserve(0, 4 * CLUSTER);
        assertArrayEquals(base, DiskModel.read(gate, 0, SIZE));
    }

    @Test
    void dropping_uncovers_the_backing_device_in_whole_clusters() throws Exception {
        gate.zero(0, 3 * CLUSTER, WriteFlag.UNMAP);
        overlay.drop(1, 2 * CLUSTER);
        assertEquals(2 * CLUSTER, overlay.heldBytes());
        assertEquals(2 * CLUSTER, budget.used());
        byte[] expected = base.clone();
        Arrays.fill(expected, 0, CLUSTER, (byte) 0);
        Arrays.fill(expected, 2 * CLUSTER, 3 * CLUSTER, (byte) 0);
        assertArrayEquals(expected, DiskModel.read(gate, 0, SIZE));
        write(CLUSTER + 5, 1);
        expected[CLUSTER + 5] = 1;
        assertArrayEquals(expected, DiskModel.read(gate, 0, SIZE));
    }

    @Test
    void held_runs_can_be_walked() throws Exception {
        assertNull(overlay.nextHeld(0));
        write(CLUSTER, 2 * CLUSTER);
        write(SIZE - 1, 1);
        List<Extent> runs = new ArrayList<>();
        for (Extent run = overlay.nextHeld(0); run != null; run = overlay.nextHeld(run.end())) {
            runs.add(run);
            if (run.end() == SIZE) {
                break;
            }
        }
        assertEquals(
                List.of(
                        Extent.of(CLUSTER, 2 * CLUSTER, Extent.Kind.DATA),
                        Extent.of(10 * CLUSTER, 100, Extent.Kind.DATA)),
                runs);
        assertEquals(
                Extent.of(CLUSTER + 7, 2 * CLUSTER - 7, Extent.Kind.DATA),
                overlay.nextHeld(CLUSTER + 7));
    }

    @Test
    void a_request_beyond_the_budget_is_refused_and_changes_nothing() throws Exception {
        write(0, 4 * CLUSTER);
        assertEquals(0, warnings.get());
        byte[] before = DiskModel.read(gate, 0, SIZE);
        assertKind(Kind.NO_SPACE, () -> write(3 * CLUSTER, 3 * CLUSTER));
        assertKind(Kind.NO_SPACE, () -> gate.zero(0, SIZE, WriteFlag.UNMAP));
        assertKind(Kind.NO_SPACE, () -> overlay.preserve(8 * CLUSTER, 2 * CLUSTER));
        assertEquals(4 * CLUSTER, budget.used());
        assertArrayEquals(before, DiskModel.read(gate, 0, SIZE));
        write(0, 4 * CLUSTER);
        assertFalse(gate.writeNow(8 * CLUSTER, ByteBuffer.allocate(2 * CLUSTER)));
        assertTrue(gate.writeNow(8 * CLUSTER, ByteBuffer.allocate(CLUSTER)));
        assertEquals(1, warnings.get());
        assertKind(Kind.NO_SPACE, () -> write(7 * CLUSTER, 1));
        overlay.close();
        assertEquals(0, budget.used());
    }

    @Test
    void a_write_whose_store_fails_leaves_the_backing_device_visible() throws Exception {
        var rule = store.add(Fault.error(Kind.IO).on(Operation.WRITE).afterwards());
        assertKind(Kind.IO, () -> write(CLUSTER + 3, 5));
        assertEquals(0, budget.used());
        assertArrayEquals(base, DiskModel.read(gate, 0, SIZE));
        rule.remove();
        write(CLUSTER + 100, 5);
        byte[] expected = base.clone();
        Arrays.fill(expected, CLUSTER + 100, CLUSTER + 105, (byte) 1);
        assertArrayEquals(expected, DiskModel.read(gate, 0, SIZE));
    }

    @Test
    void extents_tell_which_layer_provides_them() throws Exception {
        gate.zero(CLUSTER, CLUSTER, WriteFlag.UNMAP);
        List<Extent> extents = gate.extents(0, 3 * CLUSTER);
        assertEquals(
                List.of(
                        new Extent(0, CLUSTER, Extent.Kind.DATA, 2),
                        new Extent(CLUSTER, CLUSTER, Extent.Kind.HOLE, 1),
                        new Extent(2 * CLUSTER, CLUSTER, Extent.Kind.DATA, 2)),
                extents);
    }

    private void write(long offset, int length) throws BlockException {
        byte[] ones = new byte[length];
        Arrays.fill(ones, (byte) 1);
        gate.write(offset, ByteBuffer.wrap(ones), WriteFlag.NONE);
    }
}
