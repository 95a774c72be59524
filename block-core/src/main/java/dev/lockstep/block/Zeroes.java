package dev.lockstep.block;

import java.nio.ByteBuffer;

/// Finds out whether a buffer holds nothing but zeroes, and fills buffers with them.
public final class Zeroes {
    private static final ByteBuffer BLOCK = ByteBuffer.allocateDirect(64 << 10).asReadOnlyBuffer();

    private Zeroes() {}

    /// Whether every remaining byte is zero. Data is recognised within its first few bytes.
    public static boolean fill(ByteBuffer buffer) {
        for (int at = buffer.position(); at < buffer.limit(); at += BLOCK.capacity()) {
            int length = Math.min(BLOCK.capacity(), buffer.limit() - at);
            if (buffer.slice(at, length).mismatch(BLOCK.slice(0, length)) >= 0) {
                return false;
            }
        }
        return true;
    }

    /// Puts zeroes into the rest of a buffer, whose position is at its limit afterwards.
    public static void put(ByteBuffer buffer) {
        while (buffer.hasRemaining()) {
            buffer.put(BLOCK.slice(0, Math.min(BLOCK.capacity(), buffer.remaining())));
        }
    }
}
