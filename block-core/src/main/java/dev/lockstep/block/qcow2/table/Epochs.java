package dev.lockstep.block.qcow2.table;

import java.util.concurrent.atomic.AtomicLong;

/// Tells when all requests that began before some moment have ended.
///
/// A request that looked a mapping up uses its host cluster without a lock. Whoever unmaps the
/// cluster begins a new epoch afterwards: as soon as the epoch before is quiet, nobody uses it.
public final class Epochs {
    /// The sign bit of a count: the epoch is over, nobody enters it any more.
    private static final long OVER = Long.MIN_VALUE;

    private volatile Epoch current = new Epoch();

    /// A span of time, and the requests that began in it.
    public static final class Epoch {
        private final AtomicLong state = new AtomicLong();

        /// Counts one request off.
        public void leave() {
            state.decrementAndGet();
        }

        /// Whether it is over and all its requests have ended.
        boolean isQuiet() {
            return state.get() == OVER;
        }
    }

    /// Counts a request in, which ends with [Epoch#leave].
    public Epoch enter() {
        while (true) {
            Epoch epoch = current;
            if (epoch.state.getAndIncrement() >= 0) {
                return epoch;
            }
            epoch.leave();
        }
    }

    /// Ends the current epoch and begins another. One thread at a time does.
    ///
    /// @return the one that has ended
    Epoch next() {
        Epoch before = current;
        current = new Epoch();
        before.state.getAndUpdate(count -> count | OVER);
        return before;
    }
}
