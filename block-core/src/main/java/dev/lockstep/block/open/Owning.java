package dev.lockstep.block.open;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.CompressedTarget;
import dev.lockstep.block.Placing;
import dev.lockstep.block.filter.ResizableFilter;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.graph.StepObserver;

import java.nio.ByteBuffer;

/// Filters above a device that they are one node with: closing it closes the device. They have
/// nothing to say to compressed writes, to where data lies, nor to what is about to be done.
final class Owning extends ResizableFilter implements CompressedTarget, Placing, StepObserver {
    private final BlockDevice device;
    private final StepObserver observer;

    Owning(BlockDevice filters, BlockDevice device) {
        super(filters);
        this.device = device;
        observer = StepObserver.of(device);
    }

    @Override
    public int compressedUnit() {
        return device instanceof CompressedTarget compressed ? compressed.compressedUnit() : 0;
    }

    @Override
    public Compressed compress(long offset, ByteBuffer source) throws BlockException {
        return ((CompressedTarget) device).compress(offset, source);
    }

    @Override
    public boolean placesOnWrite() {
        return device instanceof Placing placing && placing.placesOnWrite();
    }

    @Override
    public boolean place(long offset, long length) throws BlockException {
        return device instanceof Placing placing && placing.place(offset, length);
    }

    @Override
    public void before(Step step) {
        observer.before(step);
    }

    @Override
    public void close() throws BlockException {
        device.close();
    }
}
