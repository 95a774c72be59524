package dev.lockstep.colo.machine;

import java.util.Optional;

/// What must have happened before a primary's guest hears that its write or flush is done.
///
/// It depends on what is *durable*, not on what was decided: from the loss of a peer until the
/// record that calls it stale is on stable storage nothing is acknowledged that the peer lacks.
public enum Acknowledgement {
    /// The local disk and the remote both did it.
    BOTH,
    /// The local disk did it: the record says that the peer is behind.
    LOCAL_ONLY,
    /// Nothing is acknowledged. In the state `failed` requests get an I/O error instead.
    HOLD;

    /// The rule for a node as it is now.
    public static Acknowledgement of(Node node) {
        return of(node.state(), node.durable().map(DurableRecord::standing));
    }

    static Acknowledgement of(State state, Optional<Standing> durable) {
        if (state == State.FAILED || durable.isEmpty()) {
            return HOLD;
        }
        return switch (durable.get()) {
            case ALONE, FAILING_OVER, PROMOTED -> LOCAL_ONLY;
            case PAIRED, CHECKPOINTING -> state == State.RUNNING ? BOTH : HOLD;
            case FOLLOWING, STALE, INCONSISTENT -> HOLD;
        };
    }
}
