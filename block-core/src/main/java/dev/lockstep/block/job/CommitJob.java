package dev.lockstep.block.job;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.DeviceCopy;
import dev.lockstep.block.graph.Gate;

/// Makes a base image read as the image at the top of the chain above it, as far as that is long:
/// copies what the layers above have.
public final class CommitJob implements Job {
    private final Gate top;
    private final Gate base;
    private final int layers;
    private final DeviceCopy copy;

    /// @param top the image at the top, which nobody writes to
    /// @param layers how many images lie above the base, the top included
    /// @param base a way to the base through which it can be written to; a base that is shorter
    ///     than the top becomes as long
    /// @throws BlockException if it cannot become so long
    public CommitJob(Gate top, int layers, Gate base) throws BlockException {
        this.top = top;
        this.base = base;
        this.layers = layers;
        if (base.size() < top.size()) {
            base.resize(top.size());
        }
        copy =
                new DeviceCopy(
                        new Gate(new Selection(top, this::part)),
                        base,
                        top.size(),
                        CopyOptions.DEFAULT.with(false, true));
    }

    /// What no layer has reads as zeroes because a layer in between ends before it: the base may
    /// have something there all the same.
    private Selection.Part part(Extent extent) throws BlockException {
        if (extent.depth() != 0) {
            return new Selection.Part(extent.length(), extent.depth() <= layers);
        }
        Extent below = base.extents(extent.offset(), extent.length()).getFirst();
        long length = Math.min(extent.end(), below.end()) - extent.offset();
        return new Selection.Part(length, below.kind() == Extent.Kind.DATA);
    }

    @Override
    public void run() throws BlockException {
        copy.run();
        base.flush();
    }

    @Override
    public void cancel(BlockException cause) {
        copy.cancel(cause);
    }

    @Override
    public long doneBytes() {
        return copy.doneBytes();
    }

    @Override
    public long totalBytes() {
        return top.size();
    }
}
