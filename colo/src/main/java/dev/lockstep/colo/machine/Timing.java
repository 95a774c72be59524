package dev.lockstep.colo.machine;

/// When a peer counts as dead, in nanoseconds of a monotonic clock.
public final class Timing {
    private static final long MILLI = 1_000_000;

    /// Both sides tick this often: five ticks must be missed in a row.
    public static final long TICK_NANOS = 200 * MILLI;

    /// Silence of this length is death.
    public static final long DEAD_NANOS = 1000 * MILLI;

    /// Our own tick was late by another whole one: we slept, so the peer's silence proves nothing.
    public static final long LATE_NANOS = 2 * TICK_NANOS;

    /// An unanswered checkpoint is asked for again, and a lost peer looked for, this often.
    public static final long RETRY_NANOS = 1000 * MILLI;

    private Timing() {}
}
