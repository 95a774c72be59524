package dev.lockstep.block.filter.detectzeroes;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;

class DetectZeroesDeviceTest extends BlockDeviceContract {
    private static final int CHUNK = 64 << 10;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        BlockDevice device =
                new DetectZeroesDevice(new Gate(new MemoryDevice(contents.length)), true);
        fill(device, contents);
        return device;
    }

    @Test
    void only_a_write_of_nothing_but_zeroes_is_a_zero() throws Exception {
        MemoryDevice memory = new MemoryDevice(CHUNK);
        Gate disk = new Gate(new DetectZeroesDevice(new Gate(memory), true));
        for (int length : new int[] {1, 7, 8, 9, 4096, CHUNK}) {
            byte[] bytes = new byte[length];
            bytes[length - 1] = 1;
            assertTrue(disk.writeNow(0, ByteBuffer.wrap(bytes)), "length " + length);
            assertFalse(disk.writeNow(0, ByteBuffer.allocate(length)), "length " + length);
        }
        assertEquals(CHUNK, memory.allocatedBytes());
        ByteBuffer zeroes = ByteBuffer.allocateDirect(CHUNK);
        disk.write(0, zeroes, WriteFlag.DURABLE);
        assertEquals(CHUNK, zeroes.position());
        assertEquals(0, memory.allocatedBytes());
    }
}
