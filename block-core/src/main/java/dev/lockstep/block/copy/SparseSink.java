package dev.lockstep.block.copy;

import dev.lockstep.block.Zeroes;

import java.io.IOException;
import java.nio.ByteBuffer;

/// Writes data, and zeroes what is zero in it: runs of blocks, counted from the target's beginning.
///
/// @param blockBytes the blocks' length, or 0 to write everything
record SparseSink(Sink sink, int blockBytes) {
    /// Puts the buffer's remaining bytes at `offset`.
    void put(long offset, ByteBuffer bytes) throws IOException {
        if (blockBytes == 0) {
            sink.write(offset, bytes);
            return;
        }
        int end = bytes.limit();
        while (bytes.position() < end) {
            int start = bytes.position();
            int run = blockLength(offset, end - start);
            boolean zero = Zeroes.fill(bytes.slice(start, run));
            while (start + run < end) {
                int next = blockLength(offset + run, end - start - run);
                if (Zeroes.fill(bytes.slice(start + run, next)) != zero) {
                    break;
                }
                run += next;
            }
            if (zero) {
                sink.zero(offset, run);
            } else {
                sink.write(offset, bytes.limit(start + run));
            }
            offset += run;
            bytes.limit(end).position(start + run);
        }
    }

    private int blockLength(long offset, int rest) {
        return (int) Math.min(blockBytes - offset % blockBytes, rest);
    }
}
