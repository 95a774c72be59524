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

    private static final long VOLUNTARY_SWITCHES = 16 * Long.BYTES;

    private static final ThreadLocal<Scratch> OF_THREAD =
            ThreadLocal.withInitial(() -> new Scratch(-1));

    private static final AtomicReferenceArray<@Nullable Scratch> TO_LEND = lendable();

    final MemorySegment errno;
    final MemorySegment iovec;
    final MemorySegment rusage;

    /// Its place in [#TO_LEND], or -1 if a thread owns it.
    private final int place;

    private Scratch(int place) {
        this.place = place;
        Arena arena = Arena.ofAuto();
        errno = arena.allocate(Linker.Option.captureStateLayout());
        iovec = arena.allocate(2 * Long.BYTES, Long.BYTES);
        rusage = arena.allocate(RUSAGE_BYTES, Long.BYTES);
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
        for (int place = 0; place < LENT_MAX; place++) {
            all.set(place, new Scratch(place));
        }
        return all;
    }
}
