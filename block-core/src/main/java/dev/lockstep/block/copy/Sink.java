package dev.lockstep.block.copy;

import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Set;

/// Where the bytes of a copy go.
public interface Sink {
    /// Writes all of the buffer's remaining bytes.
    void write(long offset, ByteBuffer bytes) throws IOException;

    /// Makes a range read as zeroes.
    void zero(long offset, long length) throws IOException;

    /// The device behind a gate, treated as the options say.
    static Sink of(Gate target, CopyOptions options) {
        Set<WriteFlag> flags = options.allocate() ? WriteFlag.NONE : WriteFlag.UNMAP;
        return new Sink() {
            @Override
            public void write(long offset, ByteBuffer bytes) throws IOException {
                if (!target.writeNow(offset, bytes)) {
                    target.write(offset, bytes, WriteFlag.NONE);
                }
            }

            @Override
            public void zero(long offset, long length) throws IOException {
                if (!options.targetIsZero()) {
                    target.zero(offset, length, flags);
                }
            }
        };
    }

    /// The same with data compressed, in whole units: whoever copies to it has aligned it to them.
    static Sink compressing(Gate target, CopyOptions options) {
        Sink plain = of(target, options);
        return new Sink() {
            @Override
            public void write(long offset, ByteBuffer bytes) throws IOException {
                target.writeCompressed(offset, bytes);
            }

            @Override
            public void zero(long offset, long length) throws IOException {
                plain.zero(offset, length);
            }
        };
    }
}
