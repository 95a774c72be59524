package dev.lockstep.nbd.server;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.atomic.AtomicReference;

/// Requests that are done and wait for the event loop: a stack that any thread pushes onto and the
/// loop takes whole. The requests themselves are its links.
final class Finished {
    private final AtomicReference<@Nullable Request> top = new AtomicReference<>();

    /// Adds a request.
    ///
    /// @return whether it is the first one, so that the loop must be told
    boolean push(Request request) {
        while (true) {
            Request below = top.get();
            request.next = below;
            if (top.compareAndSet(below, request)) {
                return below == null;
            }
        }
    }

    /// Takes all of them, linked in the order in which they were pushed.
    @Nullable Request takeAll() {
        Request newest = top.getAndSet(null);
        @Nullable Request reversed = null;
        while (newest != null) {
            Request older = newest.next;
            newest.next = reversed;
            reversed = newest;
            newest = older;
        }
        return reversed;
    }
}
