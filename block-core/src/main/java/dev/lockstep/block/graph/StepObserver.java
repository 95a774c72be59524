package dev.lockstep.block.graph;

import dev.lockstep.block.BlockDevice;

/// A device that wants to know what the device above it is about to do, as `blkdebug` does. The one
/// above looks for it once, with [#below]; where there is none its calls do nothing.
@FunctionalInterface
public interface StepObserver {
    /// Takes note of what is about to happen. Its caller may hold locks: this blocks only where
    /// somebody set a breakpoint, and means to hold up all that these locks hold up.
    void before(Step step);

    /// The observer that a gate leads to now, or one that takes no interest.
    static StepObserver below(Gate gate) {
        return of(gate.device());
    }

    /// The device if it is an observer, or one that takes no interest.
    static StepObserver of(BlockDevice device) {
        return device instanceof StepObserver observer ? observer : Nobody.INSTANCE;
    }

    /// Takes no interest. One constant class, so that a call of it costs a comparison.
    enum Nobody implements StepObserver {
        /// The only one.
        INSTANCE;

        @Override
        public void before(Step step) {}
    }
}
