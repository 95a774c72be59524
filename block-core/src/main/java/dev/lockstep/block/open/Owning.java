package dev.lockstep.block.open;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.filter.FilterDevice;

/// Filters above a device that they are one node with: closing it closes the device.
final class Owning extends FilterDevice {
    private final BlockDevice device;

    Owning(BlockDevice filters, BlockDevice device) {
        super(filters);
        this.device = device;
    }

    @Override
    public void close() throws BlockException {
        device.close();
    }
}
