package dev.lockstep.block.qed;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// A part of a table in memory: 512 entries, which are read without a lock.
final class Page {
    /// The smallest cluster, so that no page has parts of two tables.
    static final int BYTES = 4096;

    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    private final long offset;
    private final long[] words;

    /// Somebody looked at it since the cache last went by. Lost updates do no harm.
    private boolean used = true;

    /// @param offset where it lies in the file
    Page(long offset, ByteBuffer content) {
        this.offset = offset;
        words = new long[BYTES / Long.BYTES];
        content.order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(words);
    }

    long offset() {
        return offset;
    }

    /// The entry at a place in the file.
    long entry(long place) {
        if (!used) {
            used = true;
        }
        return (long) WORD.getVolatile(words, index(place));
    }

    /// Changes it. Called with the lock of [Pages].
    void entry(long place, long value) {
        WORD.setVolatile(words, index(place), value);
    }

    private static int index(long place) {
        return (int) (place & (BYTES - 1)) / Long.BYTES;
    }

    /// Whether it has been used since it was last asked this.
    boolean takeUsed() {
        boolean was = used;
        used = false;
        return was;
    }

    /// As it is written. Called with the lock of [Pages].
    ByteBuffer copy() {
        ByteBuffer bytes = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asLongBuffer().put(words);
        return bytes;
    }
}
