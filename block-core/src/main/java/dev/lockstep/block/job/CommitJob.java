package dev.lockstep.block.job;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.DeviceCopy;
import dev.lockstep.block.graph.Gate;

/// Makes a base image read as the image at the top of the chain above it, as far as that is long:
/// copies what the layers above have.
public final class CommitJob extends Job {
    /// @param top the image at the top, which nobody writes to
    /// @param layers how many images lie above the base, the top included
    /// @param base a way to the base through which it can be written to; a base that is shorter
    ///     than the top becomes as long
    /// @throws BlockException if it cannot become so long
    public CommitJob(Gate top, int layers, Gate base) throws BlockException {
        super(copy(top, layers, base), base, top.size());
    }

    private static DeviceCopy copy(Gate top, int layers, Gate base) throws BlockException {
        if (base.size() < top.size()) {
            base.resize(top.size());
        }
        return new DeviceCopy(
                new Gate(new Selection(top, extent -> part(extent, layers))),
                base,
                top.size(),
                CopyOptions.DEFAULT.with(false, true));
    }

    /// What the layers above the base have. That one of them is too short is as if it had zeroes
    /// there: the base may have something all the same.
    private static Selection.Part part(Extent extent, int layers) {
        int depth = extent.depth();
        return new Selection.Part(extent.length(), depth != 0 && depth <= layers);
    }
}
