package dev.lockstep.block.open;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.CompressedTarget;
import dev.lockstep.block.filter.ResizableFilter;

import java.nio.ByteBuffer;

/// Filters above a device that they are one node with: closing it closes the device. They have
/// nothing to say to compressed writes.
final class Owning extends ResizableFilter implements CompressedTarget {
    private final BlockDevice device;

    Owning(BlockDevice filters, BlockDevice device) {
        super(filters);
        this.device = device;
    }

    @Override
    public int compressedUnit() {
        return device instanceof CompressedTarget compressed ? compressed.compressedUnit() : 0;
    }

    @Override
    public void writeCompressed(long offset, ByteBuffer source) throws BlockException {
        if (device instanceof CompressedTarget compressed) {
            compressed.writeCompressed(offset, source);
        }
    }

    @Override
    public void close() throws BlockException {
        device.close();
    }
}
