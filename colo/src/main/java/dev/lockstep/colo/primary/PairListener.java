package dev.lockstep.colo.primary;

import dev.lockstep.block.BlockException;

/// What a [PairDevice] tells its runtime. Both calls come from the threads of requests, so they
/// return at once: they post an event and leave.
public interface PairListener {
    /// A request on the peer failed. The edge to the peer has been failed; writes wait until the
    /// runtime has decided ([PairDevice#permit]). It is told once for each attached peer.
    void peerFailed(BlockException cause);

    /// The local disk failed a request, and the guest is about to be told. The peer may hold what
    /// the local disk does not until [PairDevice#reconcile] has made them equal again.
    void localFailed(BlockException cause);
}
