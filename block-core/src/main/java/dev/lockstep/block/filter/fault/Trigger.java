package dev.lockstep.block.filter.fault;

import dev.lockstep.block.filter.fault.Fault.Operation;

import java.util.EnumSet;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;

/// Which requests a fault is for. Begin with [#ALL] and narrow it.
///
/// @param operations which calls it picks
/// @param offset where the range begins that a request must touch; a flush touches every range
/// @param length how long that range is
/// @param after how many matching requests it lets pass first
/// @param times how many it picks then
/// @param probability how likely each of the matching ones is to be picked, 1 for certain
/// @param seed decides which ones, the same ones every time
public record Trigger(
        Set<Operation> operations,
        long offset,
        long length,
        long after,
        long times,
        double probability,
        long seed) {
    /// Every request.
    public static final Trigger ALL =
            new Trigger(EnumSet.allOf(Operation.class), 0, Long.MAX_VALUE, 0, Long.MAX_VALUE, 1, 0);

    /// Checks the probability.
    public Trigger {
        operations = Set.copyOf(operations);
        if (!(probability >= 0 && probability <= 1)) {
            throw new IllegalArgumentException("a probability lies between 0 and 1");
        }
    }

    /// Only these operations.
    public Trigger on(Set<Operation> these) {
        return new Trigger(these, offset, length, after, times, probability, seed);
    }

    /// Only requests that touch this range.
    public Trigger in(long from, long bytes) {
        return new Trigger(operations, from, bytes, after, times, probability, seed);
    }

    /// Only once this many matching requests have passed.
    public Trigger after(long passed) {
        return new Trigger(operations, offset, length, passed, times, probability, seed);
    }

    /// Only this many requests.
    public Trigger times(long count) {
        return new Trigger(operations, offset, length, after, count, probability, seed);
    }

    /// Only some of the matching requests, by chance. The same seed picks the same ones.
    public Trigger sometimes(double likely, long from) {
        return new Trigger(operations, offset, length, after, times, likely, from);
    }

    /// Whether it is for such requests at all, whatever their number.
    public boolean matches(Operation operation, long from, long bytes) {
        return operations.contains(operation)
                && (operation == Operation.FLUSH
                        || (from < offset + Math.min(length, Long.MAX_VALUE - offset)
                                && offset < from + bytes));
    }

    /// Counts the requests that match, for one fault in force. For any thread.
    public static final class Counter {
        private final Trigger trigger;
        private final AtomicLong seen = new AtomicLong();
        private final AtomicLong picked = new AtomicLong();

        /// Has seen nothing yet.
        public Counter(Trigger trigger) {
            this.trigger = trigger;
        }

        /// Counts a request if it matches.
        ///
        /// @return whether it is picked
        public boolean picks(Operation operation, long offset, long length) {
            if (!trigger.matches(operation, offset, length)) {
                return false;
            }
            long before = seen.getAndIncrement();
            boolean due = before >= trigger.after && before - trigger.after < trigger.times;
            if (!due || !falls(before)) {
                return false;
            }
            picked.incrementAndGet();
            return true;
        }

        /// How many requests were picked.
        public long picked() {
            return picked.get();
        }

        /// A coin that depends on nothing but the seed and the request's number.
        private boolean falls(long number) {
            return trigger.probability == 1
                    || new SplittableRandom(new SplittableRandom(trigger.seed).nextLong() + number)
                                    .nextDouble()
                            < trigger.probability;
        }
    }
}
