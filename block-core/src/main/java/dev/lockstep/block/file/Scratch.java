package dev.lockstep.block.file;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicReferenceArray;

/// Native memory that a system call needs besides its data: the error number, an `iovec`, a
/// `rusage`. It is kept, so that a call allocates nothing.
///
/// A platform thread owns one for life. Virtual threads are too many and too short-lived for that:
/// for the hot calls they borrow from a fixed set, and give back before they can be unmounted.
final class Scratch {
    /// More than there can be carriers that are inside a call at once. A power of two.
    private static final int LENT_MAX = 256;

    /// struct rusage: two times of two words each, then fourteen words.
    private static final long RUSAGE_BYTES = 18 * Long.BYTES;

    // Where things lie in the memory of one: the error number first.
    private static final long IOVEC = Long.BYTES;
    private static final long RUSAGE = IOVEC + 2 * Long.BYTES;

    /// Three cache lines: no two threads write to the same one.
    private static final long BYTES = 192;

    private static final long ALIGNMENT = 64;

    private static final long VOLUNTARY_SWITCHES = 16 * Long.BYTES;

    private static final ThreadLocal<Scratch> OF_THREAD =
            ThreadLocal.withInitial(
                    () -> new Scratch(-1, Arena.ofAuto().allocate(BYTES, ALIGNMENT)));

    private static final AtomicReferenceArray<@Nullable Scratch> TO_LEND = lendable();

    final MemorySegment errno;
    final MemorySegment iovec;
    final MemorySegment rusage;

    /// Its place in [#TO_LEND], or -1 if a thread owns it.
    private final int place;

    /// @param memory [#BYTES] of it
    private Scratch(int place, MemorySegment memory) {
        this.place = place;
        errno = memory.asSlice(0, Linker.Option.captureStateLayout());
        iovec = memory.asSlice(IOVEC, RUSAGE - IOVEC);
        rusage = memory.asSlice(RUSAGE, RUSAGE_BYTES);
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
            Scratch scratch = TO_LEND.getAndSet((start + index) & (LENT_MAX - 1), null);
            if (scratch != null) {
                return scratch;
            }
        }
        return null;
    }

    void giveBack() {
        if (place >= 0) {
            TO_LEND.set(place, this);
        }
    }

    /// struct iovec { void *base; size_t length; }
    void setIovec(long address, long length) {
        iovec.set(JAVA_LONG, 0, address);
        iovec.set(JAVA_LONG, Long.BYTES, length);
    }

    /// The field ru_nvcsw of [#rusage].
    long voluntarySwitches() {
        return rusage.get(JAVA_LONG, VOLUNTARY_SWITCHES);
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
