package dev.lockstep.colo.primary;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;

import java.util.concurrent.atomic.AtomicBoolean;

/// One attachment of a peer: the edge to it, and whether it is still believed in. A peer that comes
/// back is another replica.
final class Replica {
    final Gate gate;

    /// Whether it holds everything that the local disk holds, apart from requests in flight. Before
    /// the copy has ended, a flush on both sides says nothing about what the peer lacks.
    volatile boolean whole;

    private final AtomicBoolean lost = new AtomicBoolean();

    Replica(Gate gate, boolean whole) {
        this.gate = gate;
        this.whole = whole;
    }

    /// Fails the edge, so that whatever is in flight on it ends soon and nothing succeeds on it any
    /// more, whoever else is just doing the same.
    ///
    /// @return whether nobody had done so before
    boolean lose(BlockException cause) {
        gate.fail(cause);
        return lost.compareAndSet(false, true);
    }
}
