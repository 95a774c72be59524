package dev.lockstep.block.copy;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// Divides a device among workers: gives out every byte once, in the order of positions.
///
/// The source is asked for the extents of all that is left, as often as its answers stop short:
/// few, long answers are the cheapest for files, whose map is otherwise searched again and again.
/// An answer's length is the device's affair, and each keeps a bound on it.
final class Walk {
    /// The most that is zeroed at once, so that progress is seen and a failure stops a copy soon.
    private static final long ZERO_BYTES_MAX = 1 << 30;

    /// What a stretch has.
    enum Content {
        /// It is known to read as zeroes.
        ZERO,
        /// Anything. It is no longer than a request.
        DATA,
        /// What is not to be copied.
        LEFT_OUT
    }

    /// A stretch for one worker.
    ///
    /// @param number how many came before
    record Piece(long number, long offset, long length, Content content) {
        boolean zero() {
            return content == Content.ZERO;
        }
    }

    private final Gate source;
    private final long end;
    private final int requestBytes;
    private final int alignment;
    private final boolean useExtents;
    private final boolean topLayerOnly;

    /// Guards: all that follows.
    private final ReentrantLock lock = new ReentrantLock();

    private long position;
    private long number;
    private List<Extent> extents = List.of();
    private int next;

    /// The first `length` bytes of a device.
    Walk(Gate source, long length, CopyOptions options) {
        this(source, 0, length, options);
    }

    /// What lies from `start` to `end`.
    Walk(Gate source, long start, long end, CopyOptions options) {
        this.source = source;
        this.position = start;
        this.end = end;
        this.requestBytes = options.requestBytes();
        this.alignment = options.alignment();
        this.useExtents = options.useExtents();
        this.topLayerOnly = options.topLayerOnly();
    }

    /// The next piece, or null at the end.
    @Nullable Piece next() throws BlockException {
        lock.lock();
        try {
            if (position >= end) {
                return null;
            }
            Extent extent = current();
            Piece piece = isEmpty(extent) ? empty(extent) : data(extent);
            position += piece.length();
            return piece;
        } finally {
            lock.unlock();
        }
    }

    private boolean isEmpty(Extent extent) {
        boolean empty = extent.kind() != Extent.Kind.DATA || isLeftOut(extent);
        return empty && alignedEnd(extent) > position;
    }

    private boolean isLeftOut(Extent extent) {
        return topLayerOnly && extent.depth() != 1;
    }

    /// Where what is empty ends for whoever counts in aligned blocks: a block of which only a part
    /// is empty is data.
    private long alignedEnd(Extent extent) {
        return extent.end() >= end ? end : extent.end() & -alignment;
    }

    private Piece empty(Extent extent) {
        long bytes = Math.min(ZERO_BYTES_MAX, alignedEnd(extent) - position);
        return new Piece(
                number++, position, bytes, isLeftOut(extent) ? Content.LEFT_OUT : Content.ZERO);
    }

    /// Data is cut at multiples of the request's length, wherever its extent begins.
    private Piece data(Extent extent) {
        long alignedEnd = Math.min(end, (extent.end() + alignment - 1) & -alignment);
        long max = requestBytes - position % requestBytes;
        return new Piece(number++, position, Math.min(max, alignedEnd - position), Content.DATA);
    }

    /// The extent that the position lies in.
    private Extent current() throws BlockException {
        while (next < extents.size() && extents.get(next).end() <= position) {
            next++;
        }
        if (next == extents.size()) {
            long rest = end - position;
            extents =
                    useExtents
                            ? source.extents(position, rest)
                            : List.of(Extent.of(position, rest, Extent.Kind.DATA));
            next = 0;
        }
        return extents.get(next);
    }
}
