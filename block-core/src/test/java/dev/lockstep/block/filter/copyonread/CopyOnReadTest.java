package dev.lockstep.block.filter.copyonread;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.overlay.BufferOverlay;
import dev.lockstep.block.overlay.ByteBudget;

import org.junit.jupiter.api.Test;

import java.util.Random;

class CopyOnReadTest extends BlockDeviceContract {
    private static final int CLUSTER_BYTES = 16 << 10;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        return new CopyOnReadDevice(new Gate(overlay(contents)));
    }

    private static BlockDevice overlay(byte[] contents) throws Exception {
        MemoryDevice backing = new MemoryDevice(contents.length);
        fill(backing, contents);
        return new BufferOverlay(
                "overlay",
                new Gate(backing),
                new MemoryDevice(contents.length),
                CLUSTER_BYTES,
                ByteBudget.unlimited());
    }

    @Test
    void what_was_read_is_there_afterwards_and_nothing_else() throws Exception {
        byte[] contents = new byte[1 << 20];
        new Random(Seeds.next("copy on read")).nextBytes(contents);
        Gate below = new Gate(overlay(contents));
        Gate gate = new Gate(new CopyOnReadDevice(below));
        assertEquals(2, below.extents(0, 1 << 20).getFirst().depth());
        new DiskModel(contents).check("read", 100_000, DiskModel.read(gate, 100_000, 5_000));
        assertEquals(1, below.extents(100_000, 5_000).getFirst().depth());
        assertEquals(2, below.extents(200_000, 5_000).getFirst().depth());
        new DiskModel(contents).check("all", 0, DiskModel.read(gate, 0, 1 << 20));
        assertEquals(1, below.extents(0, 1 << 20).getFirst().depth());
    }
}
