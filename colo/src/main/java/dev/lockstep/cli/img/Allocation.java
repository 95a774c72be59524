package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.graph.Gate;

import java.util.List;
import java.util.OptionalLong;

/// What an image says that it is made of, in order: extents that are asked for as they are needed.
final class Allocation {
    private final Gate gate;
    private List<Extent> extents = List.of();
    private int next;

    Allocation(Gate gate) {
        this.gate = gate;
    }

    /// The extent that a position lies in, as far as it is known in one piece. Positions never go
    /// back.
    Extent at(long position, long end) throws BlockException {
        while (next < extents.size() && extents.get(next).end() <= position) {
            next++;
        }
        if (next == extents.size()) {
            extents = gate.extents(position, end - position);
            next = 0;
        }
        return extents.get(next);
    }

    /// Where two images of one length first differ in what is allocated, or in what is zeroes.
    static OptionalLong difference(Gate left, Layers leftLayers, Gate right, Layers rightLayers)
            throws BlockException {
        Allocation ours = new Allocation(left);
        Allocation theirs = new Allocation(right);
        long end = left.size();
        for (long position = 0; position < end; ) {
            Extent mine = ours.at(position, end);
            Extent other = theirs.at(position, end);
            boolean sameKind =
                    (mine.kind() == Extent.Kind.DATA) == (other.kind() == Extent.Kind.DATA);
            if (!sameKind
                    || leftLayers.owner(mine).present() != rightLayers.owner(other).present()) {
                return OptionalLong.of(position);
            }
            position = Math.min(mine.end(), other.end());
        }
        return OptionalLong.empty();
    }
}
