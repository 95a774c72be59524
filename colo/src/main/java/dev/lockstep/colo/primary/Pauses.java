package dev.lockstep.colo.primary;

import java.util.Optional;
import java.util.concurrent.TimeUnit;

/// Measures how long the guest is held at a checkpoint, and how much of that its disks took to
/// flush.
public final class Pauses {
    private volatile long begunNanos;
    private volatile long quietNanos;
    private volatile long flushedNanos;
    private volatile Pause last = new Pause(0, 0, 0);

    /// One pause, in microseconds.
    ///
    /// @param totalMicros from the guest's gate shut to open again
    /// @param drainMicros until no request was in flight
    /// @param flushMicros both sides flushing what was written since they were flushed beforehand
    public record Pause(long totalMicros, long drainMicros, long flushMicros) {
        @Override
        public String toString() {
            return "the guest was held for %d us: %d us draining, %d us flushing"
                    .formatted(totalMicros, drainMicros, flushMicros);
        }
    }

    /// The last pause that ended.
    public Pause last() {
        return last;
    }

    void begin() {
        begunNanos = System.nanoTime();
        quietNanos = begunNanos;
        flushedNanos = begunNanos;
    }

    void quiet() {
        quietNanos = System.nanoTime();
        flushedNanos = quietNanos;
    }

    void flushed() {
        flushedNanos = System.nanoTime();
    }

    /// Returns the pause, if it was one for a checkpoint.
    Optional<Pause> end() {
        if (quietNanos == begunNanos) {
            return Optional.empty();
        }
        last =
                new Pause(
                        micros(System.nanoTime() - begunNanos),
                        micros(quietNanos - begunNanos),
                        micros(flushedNanos - quietNanos));
        return Optional.of(last);
    }

    private static long micros(long nanos) {
        return TimeUnit.NANOSECONDS.toMicros(nanos);
    }
}
