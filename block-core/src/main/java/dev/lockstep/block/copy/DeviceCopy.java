package dev.lockstep.block.copy;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Pending;
import dev.lockstep.block.copy.Sink.Put;
import dev.lockstep.block.copy.Walk.Content;
import dev.lockstep.block.copy.Walk.Piece;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
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
    private final Lanes lanes;
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
        lanes = Lanes.of(options.workers(), source, sink);
    }

    /// Copies. It does not flush.
    ///
    /// @throws BlockException if anything could not be read or written; the target is then no copy
    ///     of anything
    public void run() throws BlockException {
        workers.run(lanes.count(), lanes.threads(), Lane::new);
    }

    /// Ends the copy soon; [#run] throws the cause.
    public void cancel(BlockException cause) {
        workers.stop(cause);
    }

    /// How many bytes are dealt with.
    public long doneBytes() {
        return done.sum();
    }

    /// What one worker has under way, in the order of positions: reads that were begun, and writes
    /// whose end is still to be awaited.
    private final class Lane implements Workers.Work {
        private final Deque<Request> free = new ArrayDeque<>();
        private final Deque<Request> reading = new ArrayDeque<>();
        private final Deque<Request> writing = new ArrayDeque<>();

        @Override
        public boolean step() throws IOException {
            while (reading.size() < lanes.reads()) {
                Piece piece = walk.next();
                if (piece == null) {
                    break;
                }
                Request fresh = free.isEmpty() ? new Request() : free.pop();
                reading.add(fresh);
                fresh.begin(piece);
            }
            Request request = reading.poll();
            if (request != null) {
                writing.add(request);
                if (!request.write()) {
                    return false;
                }
            }
            int pending = request == null ? 0 : lanes.writes();
            while (writing.size() > pending) {
                Request oldest = writing.remove();
                free.push(oldest);
                oldest.finish();
            }
            return request != null;
        }

        @Override
        public void end() {
            reading.forEach(Request::giveUp);
            writing.forEach(Request::giveUp);
        }
    }

    /// A piece on its way from the source to the sink, in a buffer that the next one uses again.
    private final class Request {
        private final Deque<Pending> pending = new ArrayDeque<>();
        private @Nullable ByteBuffer buffer;
        private @Nullable Piece piece;
        private List<Put> puts = List.of();

        /// Begins to read where the source can do that.
        void begin(Piece next) throws BlockException {
            piece = next;
            if (next.content() == Content.DATA && source.beginsRequests()) {
                pending.add(source.startRead(next.offset(), target(next)));
            }
        }

        private ByteBuffer target(Piece data) {
            if (buffer == null) {
                buffer = Workers.buffer(options.requestBytes());
            }
            return buffer.clear().limit((int) data.length());
        }

        /// Writes, or begins to, when it is this piece's turn.
        ///
        /// @return false if that will never be
        boolean write() throws IOException {
            Piece data = Objects.requireNonNull(piece);
            boolean passed = false;
            try {
                puts = put(data);
                if (!order.await(data.number())) {
                    return false;
                }
                for (Put put : puts) {
                    put.place();
                }
                passed = true;
                order.pass(data.number());
                for (Put put : puts) {
                    pending.add(put.write());
                }
                return true;
            } finally {
                if (!passed) {
                    order.end();
                }
            }
        }

        private List<Put> put(Piece data) throws IOException {
            return switch (data.content()) {
                case DATA -> sparse.begin(data.offset(), read(data));
                case ZERO -> List.of(sink.beginZero(data.offset(), data.length()));
                case LEFT_OUT -> List.of();
            };
        }

        /// What is in the page cache is read here, which costs no other thread.
        private ByteBuffer read(Piece data) throws BlockException {
            if (pending.isEmpty()) {
                ByteBuffer bytes = target(data);
                if (!source.readNow(data.offset(), bytes)) {
                    source.read(data.offset(), bytes);
                }
                return bytes.flip();
            }
            pending.remove().await();
            return target(data);
        }

        /// Waits until it is written.
        void finish() throws BlockException {
            while (!pending.isEmpty()) {
                pending.remove().await();
            }
            close();
            done.add(Objects.requireNonNull(piece).length());
        }

        /// Waits until nobody uses the buffer.
        void giveUp() {
            while (!pending.isEmpty()) {
                try {
                    pending.remove().await();
                } catch (BlockException _) {
                    // The copy has failed already.
                }
            }
            close();
        }

        private void close() {
            puts.forEach(Put::close);
            puts = List.of();
        }
    }
}
