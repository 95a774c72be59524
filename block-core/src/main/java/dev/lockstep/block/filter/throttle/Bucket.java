package dev.lockstep.block.filter.throttle;

/// A leaky bucket, as a meter: it tells how long to wait until there is room.
///
/// Without bursts it holds what a tenth of a second allows: so much may come at once. With bursts
/// it holds a whole burst. A burst of one second may come at once; for a longer one a second level,
/// which leaks at the burst's rate, holds a tenth of a second of that.
///
/// A request is let in while there is any room, however large it is; the next waits the longer.
///
/// Not safe for use by several threads.
final class Bucket {
    /// How much may come at once, as a part of what comes in a second.
    private static final double AT_ONCE = 0.1;

    private static final double NANOS = 1e9;

    private final Rate rate;
    private double level;
    private double burstLevel;
    private long lastNanos;

    Bucket(Rate rate, long nowNanos) {
        this.rate = rate;
        lastNanos = nowNanos;
    }

    /// How long from now until something may be added, in nanoseconds; 0 if it may now.
    long waitNanos(long nowNanos) {
        if (!rate.isLimited()) {
            return 0;
        }
        leak(nowNanos);
        if (rate.burst() == 0) {
            return wait(level - rate.average() * AT_ONCE, rate.average());
        }
        double room = (double) rate.burst() * rate.burstSeconds();
        long average = wait(level - room, rate.average());
        return rate.burstSeconds() == 1
                ? average
                : Math.max(average, wait(burstLevel - rate.burst() * AT_ONCE, rate.burst()));
    }

    /// Adds what is let in.
    void add(double amount) {
        level += amount;
        burstLevel += amount;
    }

    private void leak(long nowNanos) {
        double seconds = (nowNanos - lastNanos) / NANOS;
        lastNanos = nowNanos;
        level = Math.max(0, level - seconds * rate.average());
        burstLevel = Math.max(0, burstLevel - seconds * rate.burst());
    }

    private static long wait(double excess, long perSecond) {
        return excess <= 0 ? 0 : (long) Math.ceil(excess / perSecond * NANOS);
    }
}
