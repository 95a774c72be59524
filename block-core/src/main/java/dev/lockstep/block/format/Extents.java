package dev.lockstep.block.format;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;

import java.util.ArrayList;
import java.util.List;

/// The extents of an image while they are put together. Those that are alike and follow each other
/// become one.
public final class Extents {
    /// After this many the answer stops short.
    private static final int MAX = 1024;

    private final List<Extent> found = new ArrayList<>();
    private final Backing backing;
    private long end;

    /// Those from `offset` on.
    public Extents(long offset, Backing backing) {
        this.end = offset;
        this.backing = backing;
    }

    /// Where the next one begins.
    public long end() {
        return end;
    }

    /// Whether there are enough of them.
    public boolean isFull() {
        return found.size() >= MAX;
    }

    /// Adds one that the image itself has.
    public void add(long length, Extent.Kind kind) {
        add(Extent.of(end, length, kind));
    }

    /// Adds what the backing image has, at least the beginning of it.
    public void addBelow(long length) throws BlockException {
        backing.extents(end, length).forEach(this::add);
    }

    private void add(Extent next) {
        Extent last = found.isEmpty() ? null : found.getLast();
        if (last != null && last.kind() == next.kind() && last.depth() == next.depth()) {
            found.removeLast();
            long length = next.end() - last.offset();
            found.add(new Extent(last.offset(), length, next.kind(), next.depth()));
        } else {
            found.add(next);
        }
        end = next.end();
    }

    /// All of them.
    public List<Extent> list() {
        return List.copyOf(found);
    }
}
