package dev.lockstep.block.format;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.List;

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

    /// What a range is made of for the image above, at least the beginning of it. A backing image
    /// that is too short is as if it had zeroes beyond its end, so that is its depth.
    public List<Extent> extents(long offset, long length) throws BlockException {
        if (gate == null || offset >= gate.size()) {
            return List.of(new Extent(offset, length, Extent.Kind.HOLE, gate == null ? 0 : 2));
        }
        return gate.extents(offset, Math.min(length, gate.size() - offset)).stream()
                .map(e -> new Extent(e.offset(), e.length(), e.kind(), below(e.depth())))
                .toList();
    }

    private static int below(int depth) {
        return depth == 0 ? 0 : depth + 1;
    }
}
