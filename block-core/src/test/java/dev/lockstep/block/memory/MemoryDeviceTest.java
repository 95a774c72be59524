package dev.lockstep.block.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.List;

class MemoryDeviceTest extends BlockDeviceContract {
    private static final long CHUNK = 64 << 10;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        MemoryDevice device = new MemoryDevice(contents.length);
        fill(device, contents);
        return device;
    }

    @Test
    void everything_can_be_done_without_blocking() throws Exception {
        Gate gate = new Gate(new MemoryDevice(1 << 20));
        assertTrue(gate.writeNow(5, ByteBuffer.allocate(1000)));
        assertTrue(gate.readNow(5, ByteBuffer.allocate(1000)));
    }

    @Test
    void the_largest_disk_costs_nothing_until_it_is_written() throws Exception {
        MemoryDevice device = new MemoryDevice(MemoryDevice.SIZE_MAX);
        assertEquals(0, device.allocatedBytes());
        long middle = MemoryDevice.SIZE_MAX / 2;
        device.write(middle, ByteBuffer.allocate(1), WriteFlag.NONE);
        assertEquals(CHUNK, device.allocatedBytes());
        assertEquals(
                List.of(
                        Extent.of(0, middle, Extent.Kind.HOLE),
                        Extent.of(middle, CHUNK, Extent.Kind.DATA),
                        Extent.of(middle + CHUNK, middle - CHUNK, Extent.Kind.HOLE)),
                device.extents(0, MemoryDevice.SIZE_MAX));
        assertThrows(
                IllegalArgumentException.class, () -> new MemoryDevice(MemoryDevice.SIZE_MAX + 1));
    }

    @Test
    void unmapping_returns_memory_and_zeroing_alone_keeps_it() throws Exception {
        MemoryDevice device = new MemoryDevice(4 * CHUNK);
        device.write(0, ByteBuffer.allocate((int) (4 * CHUNK)), WriteFlag.NONE);
        device.zero(0, 4 * CHUNK, WriteFlag.NONE);
        assertEquals(4 * CHUNK, device.allocatedBytes());
        device.zero(1, 2 * CHUNK, WriteFlag.UNMAP);
        assertEquals(3 * CHUNK, device.allocatedBytes());
        device.discard(0, 4 * CHUNK);
        assertEquals(0, device.allocatedBytes());
    }
}
