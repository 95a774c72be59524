package dev.lockstep.colo.primary;

import dev.lockstep.colo.Side.Pause;

import java.util.Optional;
import java.util.concurrent.TimeUnit;

/// Measures how long the guest is held at a checkpoint, and how much of that its disks took to
/// flush.
public final class Pauses {
    private volatile long begunNanos;
    private volatile long quietNanos;
    private volatile long flushedNanos;
    private volatile Pause last = new Pause(0, 0, 0);

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
