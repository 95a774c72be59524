package dev.lockstep.block.filter.copybeforewrite;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.overlay.BufferOverlay;
import dev.lockstep.block.overlay.ByteBudget;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;

class CopyBeforeWriteTest extends BlockDeviceContract {
    private static final int CLUSTER = 64 << 10;

    private byte @Nullable [] original;
    private @Nullable BufferOverlay before;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        Gate disk = new Gate(new MemoryDevice(contents.length));
        fill(disk, contents);
        MemoryDevice store = new MemoryDevice(contents.length);
        original = contents.clone();
        before = new BufferOverlay("before", disk, store, CLUSTER, ByteBudget.unlimited());
        return new CopyBeforeWrite(disk, before, _ -> {});
    }

    /// Whatever was done to the disk, the overlay shows it as it was.
    @Override
    protected void checkHealth(BlockDevice device) throws Exception {
        byte[] found = DiskModel.read(Objects.requireNonNull(before), 0, size());
        assertArrayEquals(Objects.requireNonNull(original), found);
    }

    @Test
    void only_the_first_write_of_a_cluster_has_to_wait_for_a_copy() throws Exception {

        Gate gate = new Gate(create(randomBytes(new Random(1), 4 * CLUSTER)));
        BufferOverlay overlay = Objects.requireNonNull(before);
        assertFalse(gate.writeNow(CLUSTER, ByteBuffer.allocate(4096)));
        gate.write(CLUSTER, ByteBuffer.allocate(4096), WriteFlag.NONE);
        assertEquals(CLUSTER, overlay.heldBytes());
        assertTrue(gate.writeNow(CLUSTER + 8192, ByteBuffer.allocate(4096)));
        assertFalse(gate.writeNow(2 * CLUSTER - 1, ByteBuffer.allocate(2)));
    }

    @Test
    void a_change_whose_old_bytes_cannot_be_saved_is_refused_and_not_made() throws Exception {
        byte[] contents = randomBytes(new Random(2), 4 * CLUSTER);
        Gate disk = new Gate(new MemoryDevice(contents.length));
        fill(disk, contents);
        FaultDevice store = new FaultDevice(new Gate(new MemoryDevice(contents.length)));
        store.add(Fault.error(Kind.IO).on(Operation.WRITE).in(CLUSTER, 1));
        BufferOverlay overlay =
                new BufferOverlay(
                        "before", disk, store, CLUSTER, new ByteBudget(3 * CLUSTER, () -> {}));
        List<BlockException> refused = new ArrayList<>();
        Gate gate = new Gate(new CopyBeforeWrite(disk, overlay, refused::add));
        assertKind(Kind.IO, () -> gate.write(CLUSTER - 1, ByteBuffer.allocate(2), WriteFlag.NONE));
        assertKind(Kind.IO, () -> gate.zero(0, 3 * CLUSTER, WriteFlag.NONE));
        assertKind(Kind.NO_SPACE, () -> gate.discard(0, 4 * CLUSTER));
        assertEquals(3, refused.size());
        assertTrue(refused.getFirst().getMessage().contains("cannot be preserved"));
        assertArrayEquals(contents, DiskModel.read(disk, 0, contents.length));
        assertArrayEquals(contents, DiskModel.read(overlay, 0, contents.length));
    }
}
