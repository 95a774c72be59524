package dev.lockstep.block.overlay;

import java.util.concurrent.atomic.AtomicLong;

/// How many bytes one or more overlays may hold together.
///
/// The warning runs each time the use rises above four fifths of the limit, on the thread whose
/// request did it; so it must be quick and must not block.
public final class ByteBudget {
    private final long limit;
    private final long warningLevel;
    private final Runnable warning;
    private final AtomicLong used = new AtomicLong();

    /// A budget of `limit` bytes.
    public ByteBudget(long limit, Runnable warning) {
        this.limit = limit;
        this.warningLevel = limit / 5 * 4;
        this.warning = warning;
    }

    /// A budget that is never exceeded.
    public static ByteBudget unlimited() {
        return new ByteBudget(Long.MAX_VALUE, () -> {});
    }

    /// How many bytes may be used.
    public long limit() {
        return limit;
    }

    /// How many are used.
    public long used() {
        return used.get();
    }

    /// Takes bytes from the budget. Returns false, having taken none, if fewer are left.
    boolean reserve(long bytes) {
        long before = used.get();
        while (bytes <= limit - before) {
            long witness = used.compareAndExchange(before, before + bytes);
            if (witness == before) {
                if (before <= warningLevel && before + bytes > warningLevel) {
                    warning.run();
                }
                return true;
            }
            before = witness;
        }
        return false;
    }

    /// Takes what is held already, even if it is more than is left.
    void charge(long bytes) {
        used.addAndGet(bytes);
    }

    void release(long bytes) {
        used.addAndGet(-bytes);
    }
}
