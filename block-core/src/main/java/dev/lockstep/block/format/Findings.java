package dev.lockstep.block.format;

import java.util.function.Consumer;

/// Counts what one pass finds, and says it.
public final class Findings {
    private final Consumer<String> listener;
    private long corruptions;
    private long leaks;
    private long readErrors;

    /// Nothing yet.
    ///
    /// @param listener is told a sentence for each thing
    public Findings(Consumer<String> listener) {
        this.listener = listener;
    }

    /// Tells of a contradiction.
    public void corruption(String what) {
        corruptions++;
        listener.accept("ERROR: " + what);
    }

    /// Tells of something that takes space and that nobody uses.
    public void leak(String what) {
        leaks++;
        listener.accept("Leak: " + what);
    }

    /// Tells of many such things at once.
    public void leaks(String what, long count) {
        leaks += count;
        listener.accept("Leak: " + what);
    }

    /// Tells of a part that cannot be read.
    public void unreadable(String reason) {
        readErrors++;
        listener.accept("ERROR: " + reason);
    }

    /// How many contradictions there are.
    public long corruptions() {
        return corruptions;
    }

    /// How many leaks there are.
    public long leaks() {
        return leaks;
    }

    /// How many parts cannot be read.
    public long readErrors() {
        return readErrors;
    }
}
