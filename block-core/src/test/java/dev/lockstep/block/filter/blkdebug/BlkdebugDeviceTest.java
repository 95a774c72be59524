package dev.lockstep.block.filter.blkdebug;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import java.util.List;

/// Without rules, and with limits that are no powers of two, it is a disk like any other.
class BlkdebugDeviceTest extends BlockDeviceContract {
    @Override
    protected int size() {
        return (1 << 20) + 3 * 1024;
    }

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        MemoryDevice memory = new MemoryDevice(contents.length);
        fill(memory, contents);
        Limits limits = new Limits(1024, 3 * 1024, 5 * 1024, 10 * 1024, 3 * 1024, 9 * 1024);
        return new BlkdebugDevice(new Gate(memory), new Rules(List.of()), limits);
    }
}
