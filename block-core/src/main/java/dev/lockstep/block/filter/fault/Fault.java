package dev.lockstep.block.filter.fault;

import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.EnumSet;

/// What goes wrong, and for which requests. Begin with [#error], [#delay] or [#hold] and narrow it:
/// `Fault.error(Kind.IO).on(Operation.WRITE).in(4096, 512).after(2).times(1)` fails the third write
/// that touches the ninth sector.
///
/// @param when which requests it is for
/// @param delay how long each waits first
/// @param error how each fails then, or null if it goes on
/// @param late whether the request is carried out before it fails, as when an answer is lost
public record Fault(Trigger when, Duration delay, @Nullable Kind error, boolean late) {

    /// A kind of request.
    public enum Operation {
        /// A read, on either path.
        READ,
        /// A write, on either path.
        WRITE,
        /// A zero.
        ZERO,
        /// A discard.
        DISCARD,
        /// A flush. A FUA write counts as a write.
        FLUSH,
        /// A question about extents.
        EXTENTS
    }

    /// Longer than anybody waits.
    private static final Duration FOREVER = Duration.ofDays(10_000);

    /// Every request fails.
    public static Fault error(Kind kind) {
        return new Fault(Trigger.ALL, Duration.ZERO, kind, false);
    }

    /// Every request takes this much longer.
    public static Fault delay(Duration delay) {
        return new Fault(Trigger.ALL, delay, null, false);
    }

    /// Every request waits until the rule is removed.
    public static Fault hold() {
        return delay(FOREVER);
    }

    /// Only these operations.
    public Fault on(Operation first, Operation... rest) {
        return when(when.on(EnumSet.of(first, rest)));
    }

    /// Only requests that touch this range.
    public Fault in(long from, long bytes) {
        return when(when.in(from, bytes));
    }

    /// Only once this many matching requests have passed.
    public Fault after(long passed) {
        return when(when.after(passed));
    }

    /// Only this many requests.
    public Fault times(long count) {
        return when(when.times(count));
    }

    /// Only some of them, by chance.
    public Fault sometimes(double probability, long seed) {
        return when(when.sometimes(probability, seed));
    }

    /// The request is carried out, and then its caller is told that it failed.
    public Fault afterwards() {
        return new Fault(when, delay, error, true);
    }

    private Fault when(Trigger narrowed) {
        return new Fault(narrowed, delay, error, late);
    }
}
