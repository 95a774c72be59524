package dev.lockstep.block.filter.writethrough;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

class WriteThroughDeviceTest extends BlockDeviceContract {
    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        BlockDevice device = new WriteThroughDevice(new Gate(new MemoryDevice(contents.length)));
        fill(device, contents);
        return device;
    }

    @Test
    void every_write_and_zero_is_durable_and_none_is_hurried() throws Exception {
        List<Set<WriteFlag>> seen = new ArrayList<>();
        BlockDevice watched =
                new FilterDevice(new MemoryDevice(4096)) {
                    @Override
                    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) {
                        seen.add(Set.copyOf(flags));
                    }

                    @Override
                    public void zero(long offset, long length, Set<WriteFlag> flags) {
                        seen.add(Set.copyOf(flags));
                    }
                };
        Gate disk = new Gate(new WriteThroughDevice(new Gate(watched)));
        assertFalse(disk.writeNow(0, ByteBuffer.allocate(4096)));
        disk.write(0, ByteBuffer.allocate(4096), WriteFlag.NONE);
        disk.zero(0, 4096, WriteFlag.UNMAP);
        assertEquals(
                List.of(Set.of(WriteFlag.FUA), Set.of(WriteFlag.FUA, WriteFlag.MAY_UNMAP)), seen);
    }
}
