package dev.lockstep.block.graph;

import dev.lockstep.block.BlockException;

/// A device that can give up the requests it has in flight, as one with a remote peer can.
public interface Abortable {
    /// Fails everything in flight with `cause` soon, without waiting for any of it. May be called
    /// from any thread and more than once.
    void abort(BlockException cause);
}
