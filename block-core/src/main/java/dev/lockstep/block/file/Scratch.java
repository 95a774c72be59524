package dev.lockstep.block.file;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicReferenceArray;

/// Native memory that a system call needs besides its data: the error number, an `iovec`, a
/// `rusage`. It is kept, so that a call allocates nothing.
///
/// A platform thread owns one for life. Virtual threads are too many and too short-lived for that:
/// for the hot calls they borrow from a fixed set, and give back before they can be unmounted.
final class Scratch {
    /// More than there can be carriers that are inside a call at once. A power of two.
    private static final int LENT_MAX = 256;

    // Where things lie in the memory of one: the error number first.
    private static final int IOVEC = Long.BYTES;
    private static final int RUSAGE = IOVEC + 2 * Long.BYTES;

    /// Three cache lines: no two threads write to the same one. A `rusage`, which is the last, is
    /// two times of two words each and fourteen words.
    private static final long BYTES = 192;

    private static final long ALIGNMENT = 64;

    private static final int VOLUNTARY_SWITCHES = RUSAGE + 16 * Long.BYTES;

    private static final ThreadLocal<Scratch> OF_THREAD =
            ThreadLocal.withInitial(
                    () -> new Scratch(-1, Arena.ofAuto().allocate(BYTES, ALIGNMENT)));

    /// Apart, because most commands never lend one.
    private static final class ToLend {
        static final AtomicReferenceArray<@Nullable Scratch> ALL = lendable();

        private ToLend() {}
    }

    /// The error number of a call.
    final MemorySegment errno;

    /// The same memory, all of it. A buffer, because the JVM generates code for each type of value
    /// that a segment is asked for.
    private final ByteBuffer memory;

    /// Its place among those [ToLend], or -1 if a thread owns it.
    private final int place;

    /// @param memory [#BYTES] of it
    private Scratch(int place, MemorySegment memory) {
        this.place = place;
        errno = memory;
        this.memory = memory.asByteBuffer().order(ByteOrder.nativeOrder());
    }

    /// The calling thread's own. On a virtual thread this allocates: for calls that are rare there.
    static Scratch ofThread() {
        return OF_THREAD.get();
    }

    /// The calling thread's own, or one that is lent until [#giveBack]; null if all are lent.
    static @Nullable Scratch take() {
        Thread thread = Thread.currentThread();
        if (!thread.isVirtual()) {
            return OF_THREAD.get();
        }
        int start = (int) thread.threadId();
        for (int index = 0; index < LENT_MAX; index++) {
            Scratch scratch = ToLend.ALL.getAndSet((start + index) & (LENT_MAX - 1), null);
            if (scratch != null) {
                return scratch;
            }
        }
        return null;
    }

    void giveBack() {
        if (place >= 0) {
            ToLend.ALL.set(place, this);
        }
    }

    /// What the call left: minus its error number if it failed.
    long resultOf(long result) {
        return result >= 0 ? result : -memory.getInt(0);
    }

    /// The address of a `struct iovec { void *base; size_t length; }` of this content.
    long iovec(long address, long length) {
        memory.putLong(IOVEC, address);
        memory.putLong(IOVEC + Long.BYTES, length);
        return errno.address() + IOVEC;
    }

    /// The address of a `struct rusage` to be filled.
    long rusage() {
        return errno.address() + RUSAGE;
    }

    /// Its field ru_nvcsw.
    long voluntarySwitches() {
        return memory.getLong(VOLUNTARY_SWITCHES);
    }

    private static AtomicReferenceArray<@Nullable Scratch> lendable() {
        AtomicReferenceArray<@Nullable Scratch> all = new AtomicReferenceArray<>(LENT_MAX);
        MemorySegment memory = Arena.ofAuto().allocate(LENT_MAX * BYTES, ALIGNMENT);
        for (int place = 0; place < LENT_MAX; place++) {
            all.set(place, new Scratch(place, memory.asSlice(place * BYTES, BYTES)));
        }
        return all;
    }
}
