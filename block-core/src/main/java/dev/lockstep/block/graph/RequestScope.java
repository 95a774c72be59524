package dev.lockstep.block.graph;

/// Knows whether the current thread is inside a request, where assertions are enabled: a request
/// that waited for the graph to be quiet would wait for itself. Each method returns true, to stand
/// in an `assert`.
final class RequestScope {
    private static final ThreadLocal<Integer> DEPTH = ThreadLocal.withInitial(() -> 0);

    private RequestScope() {}

    static boolean entered() {
        DEPTH.set(DEPTH.get() + 1);
        return true;
    }

    static boolean left() {
        DEPTH.set(DEPTH.get() - 1);
        return true;
    }

    static boolean outside() {
        return DEPTH.get() == 0;
    }
}
