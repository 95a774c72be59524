package dev.lockstep.block.copy;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.copy.Walk.Piece;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;

/// Looks for the first byte of a stretch that is no zero. What is known to read as zeroes is not
/// read.
public final class ZeroSearch {
    private final Gate device;
    private final CopyOptions options;
    private final Walk walk;
    private final AtomicLong first = new AtomicLong(Long.MAX_VALUE);
    private final LongAdder done = new LongAdder();

    /// A search from `start` to `end`, which [#run] makes once.
    public ZeroSearch(Gate device, long start, long end, CopyOptions options) {
        this.device = device;
        this.options = options;
        walk = new Walk(device, start, end, options);
    }

    /// Looks.
    ///
    /// @return the position of the first other byte, or nothing if all are zeroes
    public OptionalLong run() throws BlockException {
        new Workers().run(options.workers(), Thread.ofVirtual(), this::worker);
        long found = first.get();
        return found == Long.MAX_VALUE ? OptionalLong.empty() : OptionalLong.of(found);
    }

    /// How many bytes are dealt with.
    public long doneBytes() {
        return done.sum();
    }

    private Workers.Work worker() {
        ByteBuffer buffer = Workers.buffer(options.requestBytes());
        return () -> step(buffer);
    }

    private boolean step(ByteBuffer buffer) throws BlockException {
        Piece piece = walk.next();
        if (piece == null || piece.offset() > first.get()) {
            return false;
        }
        if (!piece.zero()) {
            device.read(piece.offset(), buffer.clear().limit((int) piece.length()));
            int at = Zeroes.firstOther(buffer.flip());
            if (at >= 0) {
                first.accumulateAndGet(piece.offset() + at, Math::min);
            }
        }
        done.add(piece.length());
        return true;
    }
}
