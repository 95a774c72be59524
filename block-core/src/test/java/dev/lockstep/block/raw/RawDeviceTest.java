package dev.lockstep.block.raw;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.Objects;

class RawDeviceTest extends BlockDeviceContract {
    private static final int BEFORE = 1 << 16;
    private static final int AFTER = 4096;

    private @Nullable Gate file;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        file = new Gate(new MemoryDevice(BEFORE + contents.length + AFTER));
        RawDevice device = RawDevice.window(file, BEFORE, contents.length);
        fill(device, contents);
        return device;
    }

    /// Nothing outside of the window is ever touched.
    @Override
    protected void checkHealth(BlockDevice device) throws Exception {
        Gate whole = Objects.requireNonNull(file);
        assertArrayEquals(new byte[BEFORE], DiskModel.read(whole, 0, BEFORE));
        assertArrayEquals(new byte[AFTER], DiskModel.read(whole, BEFORE + device.size(), AFTER));
    }

    @Test
    void a_window_may_be_the_whole_or_the_rest_but_not_more() throws Exception {
        Gate disk = new Gate(new MemoryDevice(10_000));
        assertEquals(10_000, RawDevice.whole(disk).size());
        assertEquals(9_000, RawDevice.from(disk, 1_000).size());
        assertEquals(0, RawDevice.from(disk, 10_000).size());
        assertKind(Kind.INVALID, () -> RawDevice.from(disk, 10_001));
        assertKind(Kind.INVALID, () -> RawDevice.window(disk, 1_000, 9_001));
        assertKind(Kind.INVALID, () -> RawDevice.window(disk, -1, 5));
    }

    @Test
    void what_the_file_does_without_blocking_the_window_does_too() throws Exception {
        Gate gate = new Gate(RawDevice.from(new Gate(new MemoryDevice(10_000)), 1_000));
        assertTrue(gate.writeNow(8_000, ByteBuffer.allocate(1_000)));
        assertTrue(gate.readNow(8_000, ByteBuffer.allocate(1_000)));
    }
}
