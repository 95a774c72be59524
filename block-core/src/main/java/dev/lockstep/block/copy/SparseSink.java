package dev.lockstep.block.copy;

import dev.lockstep.block.Zeroes;
import dev.lockstep.block.copy.Sink.Put;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// Writes data, and zeroes what is zero in it: runs of blocks, counted from the target's beginning.
///
/// @param blockBytes the blocks' length, or 0 to write everything
record SparseSink(Sink sink, int blockBytes) {
    /// A run of blocks that are alike.
    private record Run(long offset, ByteBuffer bytes, boolean zero) {}

    /// Puts the buffer's remaining bytes at `offset`, one after the other.
    void put(long offset, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            Run run = next(offset, bytes);
            offset += run.bytes().remaining();
            if (run.zero()) {
                sink.zero(run.offset(), run.bytes().remaining());
            } else {
                sink.write(run.offset(), run.bytes());
            }
        }
    }

    /// Begins to put them there.
    List<Put> begin(long offset, ByteBuffer bytes) throws IOException {
        List<Put> puts = new ArrayList<>();
        while (bytes.hasRemaining()) {
            Run run = next(offset, bytes);
            offset += run.bytes().remaining();
            puts.add(
                    run.zero()
                            ? sink.beginZero(run.offset(), run.bytes().remaining())
                            : sink.begin(run.offset(), run.bytes()));
        }
        return puts;
    }

    /// Takes the next run from the buffer.
    private Run next(long offset, ByteBuffer bytes) {
        int start = bytes.position();
        int rest = bytes.remaining();
        int length = blockBytes == 0 ? rest : toBoundary(offset, rest);
        boolean zero = blockBytes > 0 && Zeroes.fill(bytes, start, length);
        while (length < rest) {
            int block = Math.min(blockBytes, rest - length);
            if (Zeroes.fill(bytes, start + length, block) != zero) {
                break;
            }
            length += block;
        }
        bytes.position(start + length);
        return new Run(offset, bytes.slice(start, length), zero);
    }

    private int toBoundary(long offset, int rest) {
        return (int) Math.min(blockBytes - offset % blockBytes, rest);
    }
}
