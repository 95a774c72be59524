package dev.lockstep.block.format;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/// What is read where an image has nothing: another image, whose length may differ, and zeroes
/// beyond it.
///
/// @param gate the way to it, or null if there is none
public record Backing(@Nullable Gate gate) {
    /// Up to where there is something.
    public long bytes() {
        return gate == null ? 0 : gate.size();
    }

    /// Fills the buffer from `offset` on.
    public void read(long offset, ByteBuffer target) throws BlockException {
        int end = target.limit();
        long there = bytes() - offset;
        if (gate != null && there > 0) {
            target.limit((int) Math.min(end, target.position() + there));
            gate.read(offset, target);
            target.limit(end);
        }
        Zeroes.put(target);
    }

    /// Fills the buffer if that is possible without blocking.
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        if (gate == null || offset >= gate.size()) {
            Zeroes.put(target);
            return true;
        }
        return offset <= gate.size() - target.remaining() && gate.readNow(offset, target);
    }

    /// Adds what a range is made of, at least the beginning of it, to the extents of the image.
    void extents(long offset, long length, Extents found) throws BlockException {
        if (gate == null || offset >= gate.size()) {
            found.add(new Extent(offset, length, Extent.Kind.HOLE, 0));
            return;
        }
        for (Extent below : gate.extents(offset, Math.min(length, gate.size() - offset))) {
            int depth = below.depth() == 0 ? 0 : below.depth() + 1;
            found.add(new Extent(below.offset(), below.length(), below.kind(), depth));
        }
    }
}
