package dev.lockstep.block;

import java.nio.ByteBuffer;

/// Finds out whether a buffer holds nothing but zeroes, and fills buffers with them.
public final class Zeroes {
    private static final ByteBuffer BLOCK = ByteBuffer.allocateDirect(64 << 10).asReadOnlyBuffer();

    private Zeroes() {}

    /// Whether every remaining byte is zero. Data is recognised within its first few bytes.
    public static boolean fill(ByteBuffer buffer) {
        return firstOther(buffer) < 0;
    }

    /// Whether `length` bytes from the index `start` on are all zero. Most data shows in the first
    /// few, for which no view of the buffer is made.
    public static boolean fill(ByteBuffer buffer, int start, int length) {
        boolean shows = length >= Long.BYTES && buffer.getLong(start) != 0;
        return !shows && fill(buffer.slice(start, length));
    }

    /// How many zeroes come before the first other byte, counted from the position, or -1 if there
    /// is nothing else.
    public static int firstOther(ByteBuffer buffer) {
        for (int at = buffer.position(); at < buffer.limit(); at += BLOCK.capacity()) {
            int length = Math.min(BLOCK.capacity(), buffer.limit() - at);
            int found = buffer.slice(at, length).mismatch(BLOCK.slice(0, length));
            if (found >= 0) {
                return at + found - buffer.position();
            }
        }
        return -1;
    }

    /// Puts zeroes into the rest of a buffer, whose position is at its limit afterwards.
    public static void put(ByteBuffer buffer) {
        while (buffer.hasRemaining()) {
            buffer.put(BLOCK.slice(0, Math.min(BLOCK.capacity(), buffer.remaining())));
        }
    }
}
