package dev.lockstep.block.copy;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.copy.Sink.Put;
import dev.lockstep.block.copy.Walk.Piece;
import dev.lockstep.block.graph.Gate;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;

/// Copies the beginning of one device to another, which has room for it. What the source's other
/// users write meanwhile may or may not be copied.
public final class DeviceCopy {
    private final Gate source;
    private final Sink sink;
    private final SparseSink sparse;
    private final CopyOptions options;
    private final Walk walk;
    private final Workers workers = new Workers();
    private final Order order;
    private final LongAdder done = new LongAdder();

    /// A copy of the first `length` bytes, which [#run] makes once.
    public DeviceCopy(Gate source, Gate target, long length, CopyOptions options) {
        this(source, Sink.of(target, options), length, options);
    }

    /// The same to where bytes are treated in another way.
    public DeviceCopy(Gate source, Sink sink, long length, CopyOptions options) {
        this.source = source;
        this.options = options;
        this.sink = sink;
        sparse = new SparseSink(sink, options.allocate() ? 0 : options.sparseBytes());
        walk = new Walk(source, length, options);
        order = new Order(sink.isOrdered() ? options.workers() : 1);
    }

    /// Copies. It does not flush.
    ///
    /// @throws BlockException if anything could not be read or written; the target is then no copy
    ///     of anything
    public void run() throws BlockException {
        workers.run(options.workers(), options.requestBytes(), this::step);
    }

    /// Ends the copy soon; [#run] throws the cause.
    public void cancel(BlockException cause) {
        workers.stop(cause);
    }

    /// How many bytes are dealt with.
    public long doneBytes() {
        return done.sum();
    }

    private boolean step(ByteBuffer buffer) throws IOException {
        Piece piece = walk.next();
        if (piece == null) {
            return false;
        }
        List<Put> puts = List.of();
        boolean passed = false;
        try {
            puts = begin(piece, buffer);
            if (!order.await(piece.number())) {
                return false;
            }
            for (Put put : puts) {
                put.place();
            }
            passed = true;
            order.pass(piece.number());
            for (Put put : puts) {
                put.write();
            }
        } finally {
            if (!passed) {
                order.end();
            }
            puts.forEach(Put::close);
        }
        done.add(piece.length());
        return true;
    }

    private List<Put> begin(Piece piece, ByteBuffer buffer) throws IOException {
        return switch (piece.content()) {
            case DATA -> {
                read(piece, buffer.clear().limit((int) piece.length()));
                yield sparse.begin(piece.offset(), buffer.flip());
            }
            case ZERO -> {
                sink.zero(piece.offset(), piece.length());
                yield List.of();
            }
            case LEFT_OUT -> List.of();
        };
    }

    /// What is in the page cache is read here, which costs no other thread.
    private void read(Piece piece, ByteBuffer buffer) throws BlockException {
        if (!source.readNow(piece.offset(), buffer)) {
            source.read(piece.offset(), buffer);
        }
    }
}
