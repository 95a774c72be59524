package dev.lockstep.block.copy;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.CompressedTarget.Compressed;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// Where the bytes of a copy go.
public interface Sink {
    /// Writes all of the buffer's remaining bytes.
    void write(long offset, ByteBuffer bytes) throws IOException;

    /// Makes a range read as zeroes.
    void zero(long offset, long length) throws IOException;

    /// Whether data lies in the order in which it is [Put#place]d, so that a copy should do that in
    /// the order of positions.
    default boolean isOrdered() {
        return false;
    }

    /// Whether a write goes on by itself once it was begun, see [Put#write].
    default boolean beginsRequests() {
        return false;
    }

    /// Begins what [#write] does as a whole. What takes long and can be done in any order is done
    /// here. The bytes stay as they are until the end.
    default Put begin(long offset, ByteBuffer bytes) throws IOException {
        return new Put() {
            @Override
            public void place() {}

            @Override
            public Pending write() throws IOException {
                Sink.this.write(offset, bytes);
                return Pending.DONE;
            }
        };
    }

    /// Begins what [#zero] does as a whole. It has a turn as well, because it may change where what
    /// comes after it lies.
    default Put beginZero(long offset, long length) {
        return new Put() {
            @Override
            public void place() throws IOException {
                zero(offset, length);
            }

            @Override
            public Pending write() {
                return Pending.DONE;
            }
        };
    }

    /// A write that was begun. Its methods are called one after the other.
    interface Put extends AutoCloseable {
        /// Decides where it lies.
        void place() throws IOException;

        /// Writes it, or begins to: the bytes are the sink's until the end was awaited.
        Pending write() throws IOException;

        /// Gives its memory back.
        @Override
        default void close() {}
    }

    /// The device behind a gate, treated as the options say.
    static Sink of(Gate target, CopyOptions options) {
        return new PlainSink(target, options);
    }

    /// The same with data compressed, in whole units: whoever copies to it has aligned it to them.
    static Sink compressing(Gate target, CopyOptions options) {
        return new CompressingSink(target, options);
    }

    /// Writes as it is.
    record PlainSink(Gate target, CopyOptions options) implements Sink {
        @Override
        public void write(long offset, ByteBuffer bytes) throws IOException {
            if (bytes.hasRemaining() && !target.writeNow(offset, bytes)) {
                target.write(offset, bytes, WriteFlag.NONE);
            }
        }

        @Override
        public void zero(long offset, long length) throws IOException {
            if (!options.targetIsZero()) {
                Set<WriteFlag> flags = options.allocate() ? WriteFlag.NONE : WriteFlag.UNMAP;
                target.zero(offset, length, flags);
            }
        }

        @Override
        public boolean isOrdered() {
            return !options.anyOrder() && target.placesOnWrite();
        }

        @Override
        public boolean beginsRequests() {
            return target.beginsRequests();
        }

        /// Where the place cannot be had beforehand, writing in turn decides it.
        @Override
        public Put begin(long offset, ByteBuffer bytes) {
            return new Put() {
                @Override
                public void place() throws IOException {
                    if (isOrdered() && !target.place(offset, bytes.remaining())) {
                        PlainSink.this.write(offset, bytes);
                    }
                }

                @Override
                public Pending write() throws IOException {
                    if (beginsRequests()) {
                        return target.startWrite(offset, bytes, WriteFlag.NONE);
                    }
                    PlainSink.this.write(offset, bytes);
                    return Pending.DONE;
                }
            };
        }
    }

    /// Compresses what it writes, and stores it in turn, since that is quick.
    record CompressingSink(Gate target, CopyOptions options) implements Sink {
        @Override
        public void write(long offset, ByteBuffer bytes) throws IOException {
            target.writeCompressed(offset, bytes);
        }

        @Override
        public void zero(long offset, long length) throws IOException {
            of(target, options).zero(offset, length);
        }

        @Override
        public boolean isOrdered() {
            return !options.anyOrder();
        }

        @Override
        public Put begin(long offset, ByteBuffer bytes) throws IOException {
            List<Compressed> units = compress(offset, bytes);
            return new Put() {
                @Override
                public void place() throws BlockException {
                    for (Compressed unit : units) {
                        unit.store();
                    }
                }

                @Override
                public Pending write() {
                    return Pending.DONE;
                }

                @Override
                public void close() {
                    units.forEach(Compressed::close);
                }
            };
        }

        private List<Compressed> compress(long offset, ByteBuffer bytes) throws BlockException {
            List<Compressed> units = new ArrayList<>();
            int unit = target.compressedUnit();
            for (int at = bytes.position(); at < bytes.limit(); at += unit) {
                ByteBuffer one = bytes.slice(at, Math.min(unit, bytes.limit() - at));
                units.add(target.compress(offset + at - bytes.position(), one));
            }
            return units;
        }
    }
}
