package dev.lockstep.block.filter.blkdebug;

import dev.lockstep.block.graph.Step;

import java.util.function.Consumer;

/// Requests that are stopped at a step, under a tag, until somebody lets them go on. It is how a
/// script arranges two requests that meet.
public interface Breakpoints {
    /// Has the next request that comes to a step stop there.
    ///
    /// @param listener is told when it stops and when it goes on, in QEMU's words
    void breakAt(Step step, String tag, Consumer<String> listener);

    /// Forgets the breakpoints of a tag, and lets go on what has stopped at one.
    ///
    /// @return false if there is none
    boolean remove(String tag);

    /// Lets one request go on.
    ///
    /// @return false if none has stopped
    boolean resume(String tag);

    /// Waits until a request has stopped.
    void await(String tag) throws InterruptedException;
}
