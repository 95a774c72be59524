package dev.lockstep.block.bitmap;

import org.jspecify.annotations.Nullable;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReferenceArray;

/// A sparse row of bits that many threads use at once.
///
/// Every bit is changed atomically; a call that concerns several is not atomic as a whole. What was
/// written before a bit was set is visible to whoever finds it set.
///
/// Memory comes in pieces of 64 Ki bits (8 KiB) when a bit of one is first set, and a table of 4 to
/// 8 bytes a piece: 16 TiB in clusters of 64 KiB are 4096 pieces, 32 KiB while nothing is set and
/// 32 MiB when everything is.
public final class ClusterBitmap {
    private static final int PIECE_BITS_LOG2 = 16;
    private static final long PIECE_BITS = 1L << PIECE_BITS_LOG2;
    private static final int PIECE_WORDS = 1 << (PIECE_BITS_LOG2 - 6);
    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    private final long size;
    private final AtomicLong count = new AtomicLong();
    private volatile AtomicReferenceArray<long @Nullable []> pieces;

    /// A row of `size` clear bits.
    public ClusterBitmap(long size) {
        if (size < 0 || size > PIECE_BITS * Integer.MAX_VALUE / 2) {
            throw new IllegalArgumentException("a bitmap of %d bits".formatted(size));
        }
        this.size = size;
        this.pieces = emptyTable();
    }

    /// How many bits there are.
    public long size() {
        return size;
    }

    /// How many are set.
    public long count() {
        return count.get();
    }

    /// Whether bit `index` is set.
    public boolean get(long index) {
        return (word(checked(index)) >>> index & 1) != 0;
    }

    /// Sets a bit. Returns whether this call changed it.
    public boolean set(long index) {
        return set(index, index + 1) == 1;
    }

    /// Clears a bit. Returns whether this call changed it.
    public boolean clear(long index) {
        return clear(index, index + 1) == 1;
    }

    /// Sets the bits from `from` to before `to`. Returns how many of them this call changed.
    public long set(long from, long to) {
        checkRange(from, to);
        long changed = 0;
        for (long at = from; at < to; at = nextWord(at)) {
            long mask = mask(at, to);
            long[] piece = pieceForWriting(at);
            // Most bits that are set were set before, and looking is cheaper than an atomic change.
            if (((long) WORD.getVolatile(piece, wordIndex(at)) & mask) != mask) {
                long before = (long) WORD.getAndBitwiseOr(piece, wordIndex(at), mask);
                changed += Long.bitCount(mask & ~before);
            }
        }
        add(changed);
        return changed;
    }

    /// Sets every bit that is set in `other`, which has no more bits than this.
    public void setAll(ClusterBitmap other) {
        for (long at = other.nextSet(0); at < other.size; ) {
            long end = other.nextClear(at);
            set(at, end);
            at = other.nextSet(end);
        }
    }

    /// Clears the bits from `from` to before `to`. Returns how many of them this call changed.
    public long clear(long from, long to) {
        checkRange(from, to);
        long changed = 0;
        for (long at = nextSet(from); at < to; at = nextSet(nextWord(at))) {
            long mask = mask(at, to);
            long before = (long) WORD.getAndBitwiseAnd(pieceForWriting(at), wordIndex(at), ~mask);
            changed += Long.bitCount(mask & before);
        }
        add(-changed);
        return changed;
    }

    /// Clears everything at once, in time that depends on the size of the table alone. Nobody
    /// changes a bit meanwhile.
    public void clear() {
        pieces = emptyTable();
        count.set(0);
    }

    /// Whether every bit from `from` to before `to` is set.
    public boolean allSet(long from, long to) {
        return to - from == 1 ? get(from) : nextClear(from) >= to;
    }

    /// Whether no bit from `from` to before `to` is set.
    public boolean noneSet(long from, long to) {
        return to - from == 1 ? !get(from) : nextSet(from) >= to;
    }

    /// The first set bit at or after `from`, or [#size] if there is none.
    public long nextSet(long from) {
        long at = from;
        while (at < size) {
            long[] piece = pieces.get(pieceIndex(at));
            if (piece == null) {
                at = (at | (PIECE_BITS - 1)) + 1;
                continue;
            }
            long word = (long) WORD.getVolatile(piece, wordIndex(at)) & (-1L << at);
            if (word != 0) {
                return (at & ~63L) + Long.numberOfTrailingZeros(word);
            }
            at = nextWord(at);
        }
        return size;
    }

    /// The first clear bit at or after `from`, or [#size] if there is none.
    public long nextClear(long from) {
        for (long at = from; at < size; at = nextWord(at)) {
            long clear = ~word(at) & (-1L << at);
            if (clear != 0) {
                return Math.min(size, (at & ~63L) + Long.numberOfTrailingZeros(clear));
            }
        }
        return size;
    }

    /// The 64 bits from `from` on, a multiple of 64, the first of them lowest; those after the last
    /// are clear.
    public long word64(long from) {
        return from < size ? word(from) : 0;
    }

    private AtomicReferenceArray<long @Nullable []> emptyTable() {
        return new AtomicReferenceArray<>((int) ((size + PIECE_BITS - 1) >> PIECE_BITS_LOG2));
    }

    private void add(long change) {
        if (change != 0) {
            count.addAndGet(change);
        }
    }

    private long word(long index) {
        long[] piece = pieces.get(pieceIndex(index));
        return piece == null ? 0 : (long) WORD.getVolatile(piece, wordIndex(index));
    }

    private long[] pieceForWriting(long index) {
        AtomicReferenceArray<long @Nullable []> table = pieces;
        long[] piece = table.get(pieceIndex(index));
        if (piece != null) {
            return piece;
        }
        long[] fresh = new long[PIECE_WORDS];
        long[] winner = table.compareAndExchange(pieceIndex(index), null, fresh);
        return winner == null ? fresh : winner;
    }

    private long checked(long index) {
        checkRange(index, index + 1);
        return index;
    }

    private void checkRange(long from, long to) {
        if (from < 0 || to < from || to > size) {
            throw new IndexOutOfBoundsException("bits %d to %d of %d".formatted(from, to, size));
        }
    }

    /// The bits of the word that `at` lies in, from `at` to before `to`.
    private static long mask(long at, long to) {
        long mask = -1L << at;
        return nextWord(at) <= to ? mask : mask & ~(-1L << to);
    }

    private static long nextWord(long index) {
        return (index | 63) + 1;
    }

    private static int pieceIndex(long index) {
        return (int) (index >> PIECE_BITS_LOG2);
    }

    private static int wordIndex(long index) {
        return (int) (index >> 6) & (PIECE_WORDS - 1);
    }
}
