package dev.lockstep.block.job;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;

import java.util.ArrayList;
import java.util.List;

/// An image that says of what is to be copied that it has it itself (depth 1), and of the rest that
/// it lies below (depth 2), so that a copy of the top layer alone copies just the former.
final class Selection extends FilterDevice {
    /// That it lies below, for what is left out.
    private static final int BELOW = 2;

    private final Choice choice;

    /// Says what of an extent is to be copied.
    @FunctionalInterface
    interface Choice {
        /// Looks at the beginning of an extent, and tells how much of it is alike.
        Part of(Extent extent) throws BlockException;
    }

    /// The beginning of an extent.
    ///
    /// @param length at least 1
    record Part(long length, boolean taken) {}

    Selection(Gate image, Choice choice) {
        super(image);
        this.choice = choice;
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        List<Extent> shown = new ArrayList<>();
        for (Extent extent : child.extents(offset, length)) {
            for (long at = extent.offset(); at < extent.end(); ) {
                Extent rest = new Extent(at, extent.end() - at, extent.kind(), extent.depth());
                Part part = choice.of(rest);
                int depth = part.taken() ? 1 : BELOW;
                shown.add(new Extent(at, part.length(), extent.kind(), depth));
                at += part.length();
            }
        }
        return shown;
    }
}
