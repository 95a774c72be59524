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

    /// A stretch for one worker.
    ///
    /// @param zero whether it is known to read as zeroes; otherwise it is no longer than a request
    record Piece(long offset, long length, boolean zero) {}

    private final Gate source;
    private final long end;
    private final int requestBytes;
    private final boolean useExtents;

    /// Guards: all that follows.
    private final ReentrantLock lock = new ReentrantLock();

    private long position;
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
        this.useExtents = options.useExtents();
    }

    /// The next piece, or null at the end.
    @Nullable Piece next() throws BlockException {
        lock.lock();
        try {
            if (position >= end) {
                return null;
            }
            Extent extent = current();
            boolean zero = extent.kind() != Extent.Kind.DATA;
            // Data is cut at multiples of the request's length, wherever its extent begins.
            long max = zero ? ZERO_BYTES_MAX : requestBytes - position % requestBytes;
            long bytes = Math.min(max, extent.end() - position);
            Piece piece = new Piece(position, bytes, zero);
            position += bytes;
            return piece;
        } finally {
            lock.unlock();
        }
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
