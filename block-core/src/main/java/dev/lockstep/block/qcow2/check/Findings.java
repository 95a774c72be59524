package dev.lockstep.block.qcow2.check;

import java.util.function.Consumer;

/// Counts what one pass finds, and says it.
final class Findings {
    private final Consumer<String> listener;
    private long corruptions;
    private long leaks;
    private long readErrors;

    Findings(Consumer<String> listener) {
        this.listener = listener;
    }

    void corruption(String what) {
        corruptions++;
        listener.accept("ERROR: " + what);
    }

    void leak(String what) {
        leaks++;
        listener.accept("Leak: " + what);
    }

    void unreadable(String reason) {
        readErrors++;
        listener.accept("ERROR: " + reason);
    }

    long corruptions() {
        return corruptions;
    }

    long leaks() {
        return leaks;
    }

    long readErrors() {
        return readErrors;
    }
}
