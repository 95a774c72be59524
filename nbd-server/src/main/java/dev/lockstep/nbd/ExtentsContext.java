package dev.lockstep.nbd;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.graph.Gate;

import java.util.List;
import java.util.function.LongBinaryOperator;
import java.util.function.ToLongFunction;

/// A context that shows the extents of the device itself.
///
/// @param mixing of the flags of parts of a block
record ExtentsContext(
        String name, Gate root, ToLongFunction<Extent> flags, LongBinaryOperator mixing)
        implements MetaContext {
    @Override
    public List<Status> statuses(long offset, long length) throws BlockException {
        return root.extents(offset, length).stream()
                .map(extent -> new Status(extent.length(), flags.applyAsLong(extent)))
                .toList();
    }

    @Override
    public long mixed(long one, long other) {
        return mixing.applyAsLong(one, other);
    }

    static long allocationFlags(Extent extent) {
        return switch (extent.kind()) {
            case DATA -> 0;
            case ZERO -> NbdProtocol.STATE_ZERO;
            case HOLE -> NbdProtocol.STATE_HOLE | NbdProtocol.STATE_ZERO;
        };
    }

    static long depthFlags(Extent extent) {
        return extent.depth();
    }
}
