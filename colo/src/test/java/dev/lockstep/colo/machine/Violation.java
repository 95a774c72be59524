package dev.lockstep.colo.machine;

/// A safety rule was broken in a simulated history.
final class Violation extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Violation(String rule) {
        super(rule);
    }
}
