package dev.lockstep.block.copy;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.copy.Walk.Piece;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;

/// Compares the beginnings of two devices, which nobody writes to meanwhile.
///
/// What both say reads as zeroes is equal without being read.
public final class Comparison {
    private final Gate left;
    private final Gate right;
    private final CopyOptions options;
    private final Walk walk;
    private final AtomicLong firstDifference = new AtomicLong(Long.MAX_VALUE);
    private final LongAdder done = new LongAdder();

    /// A comparison of the first `length` bytes, which [#run] makes once.
    public Comparison(Gate left, Gate right, long length, CopyOptions options) {
        this.left = left;
        this.right = right;
        this.options = options;
        walk = new Walk(left, length, options);
    }

    /// Compares.
    ///
    /// @return the position of the first byte that differs, or nothing if none does
    public OptionalLong run() throws BlockException {
        new Workers().run(options.workers(), Thread.ofVirtual(), this::worker);
        long first = firstDifference.get();
        return first == Long.MAX_VALUE ? OptionalLong.empty() : OptionalLong.of(first);
    }

    /// How many bytes are dealt with.
    public long doneBytes() {
        return done.sum();
    }

    private Workers.Work worker() {
        ByteBuffer buffer = Workers.buffer(2 * options.requestBytes());
        return () -> step(buffer);
    }

    /// Pieces come in order, so that nothing after a difference is of interest.
    private boolean step(ByteBuffer buffer) throws BlockException {
        Piece piece = walk.next();
        if (piece == null || piece.offset() > firstDifference.get()) {
            return false;
        }
        int max = options.requestBytes();
        ByteBuffer ours = buffer.slice(0, max);
        ByteBuffer theirs = buffer.slice(max, max);
        if (piece.zero()) {
            checkZero(piece, theirs);
        } else {
            int length = (int) piece.length();
            left.read(piece.offset(), ours.limit(length));
            right.read(piece.offset(), theirs.limit(length));
            int differing = ours.flip().mismatch(theirs.flip());
            if (differing >= 0) {
                differsAt(piece.offset() + differing);
            }
        }
        done.add(piece.length());
        return true;
    }

    private void checkZero(Piece piece, ByteBuffer buffer) throws BlockException {
        Walk other = new Walk(right, piece.offset(), piece.offset() + piece.length(), options);
        for (Piece part = other.next(); part != null; part = other.next()) {
            if (part.zero()) {
                continue;
            }
            right.read(part.offset(), buffer.clear().limit((int) part.length()));
            int at = Zeroes.firstOther(buffer.flip());
            if (at >= 0) {
                differsAt(part.offset() + at);
                return;
            }
        }
    }

    private void differsAt(long offset) {
        firstDifference.accumulateAndGet(offset, Math::min);
    }
}
