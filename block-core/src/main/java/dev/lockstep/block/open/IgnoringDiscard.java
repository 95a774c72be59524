package dev.lockstep.block.open;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.filter.ResizableFilter;

/// A device whose space is never released by a discard: `discard=ignore`. Zeroes still may, if
/// their sender allows it.
final class IgnoringDiscard extends ResizableFilter {
    IgnoringDiscard(BlockDevice device) {
        super(device);
    }

    @Override
    public Capabilities capabilities() {
        Capabilities below = child.capabilities();
        return new Capabilities(
                below.readOnly(),
                below.fua(),
                below.zero(),
                Support.NONE,
                below.alignment(),
                below.alignedBuffers(),
                below.preferredBlockSize(),
                below.sharedFlush());
    }

    @Override
    public void discard(long offset, long length) throws BlockException {}
}
