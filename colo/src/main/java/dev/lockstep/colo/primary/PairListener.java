package dev.lockstep.colo.primary;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;

/// What a [PairDevice] tells its runtime. Both calls come from the threads of requests, so they
/// return at once: they post an event and leave.
public interface PairListener {
    /// What a request was, for events.
    enum Operation {
        /// A write, zero or discard, or a step of a copy.
        WRITE,
        /// A flush.
        FLUSH
    }

    /// A request that failed; a flush has no range.
    record Failure(Operation operation, long offset, long length, BlockException cause) {}

    /// A request on the peer failed. Its gate has been failed, and writes wait until the runtime
    /// has decided ([PairDevice#permit]). It is told once for each attached peer.
    void peerFailed(Gate peer, Failure failure);

    /// The local disk failed a request, and the guest is about to be told. The peer may hold what
    /// the local disk does not until [PairDevice#reconcile] has made them equal again.
    void localFailed(Failure failure);
}
