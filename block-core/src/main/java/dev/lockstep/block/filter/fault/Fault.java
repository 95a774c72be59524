package dev.lockstep.block.filter.fault;

import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.EnumSet;
import java.util.Set;

/// What goes wrong, and for which requests. Begin with [#error], [#delay] or [#hold] and narrow it:
/// `Fault.error(Kind.IO).on(Operation.WRITE).in(4096, 512).after(2).times(1)` fails the third write
/// that touches the ninth sector.
///
/// @param operations which calls it applies to
/// @param offset where the range begins that a request must touch; a flush touches every range
/// @param length how long that range is
/// @param after how many matching requests pass unharmed first
/// @param times how many are then affected
/// @param delay how long each waits first
/// @param error how each fails then, or null if it goes on
/// @param late whether the request is carried out before it fails, as when an answer is lost
public record Fault(
        Set<Operation> operations,
        long offset,
        long length,
        long after,
        long times,
        Duration delay,
        @Nullable Kind error,
        boolean late) {

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
        return everything(Duration.ZERO, kind);
    }

    /// Every request takes this much longer.
    public static Fault delay(Duration delay) {
        return everything(delay, null);
    }

    /// Every request waits until the rule is removed.
    public static Fault hold() {
        return everything(FOREVER, null);
    }

    private static Fault everything(Duration delay, @Nullable Kind error) {
        return new Fault(
                EnumSet.allOf(Operation.class),
                0,
                Long.MAX_VALUE,
                0,
                Long.MAX_VALUE,
                delay,
                error,
                false);
    }

    /// Only these operations.
    public Fault on(Operation first, Operation... rest) {
        return new Fault(EnumSet.of(first, rest), offset, length, after, times, delay, error, late);
    }

    /// Only requests that touch this range.
    public Fault in(long from, long bytes) {
        return new Fault(operations, from, bytes, after, times, delay, error, late);
    }

    /// Only once this many matching requests have passed.
    public Fault after(long passed) {
        return new Fault(operations, offset, length, passed, times, delay, error, late);
    }

    /// Only this many requests.
    public Fault times(long count) {
        return new Fault(operations, offset, length, after, count, delay, error, late);
    }

    /// The request is carried out, and then its caller is told that it failed.
    public Fault afterwards() {
        return new Fault(operations, offset, length, after, times, delay, error, true);
    }

    boolean matches(Operation operation, long from, long bytes) {
        return operations.contains(operation)
                && (operation == Operation.FLUSH
                        || (from < offset + Math.min(length, Long.MAX_VALUE - offset)
                                && offset < from + bytes));
    }
}
