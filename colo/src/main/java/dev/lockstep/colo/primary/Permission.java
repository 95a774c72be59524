package dev.lockstep.colo.primary;

/// What must have happened before a guest's write or flush is acknowledged.
public enum Permission {
    /// The local disk and the peer have both done it.
    BOTH,
    /// The local disk has done it; that the peer is stale has been stored.
    LOCAL_ONLY,
    /// Nothing is acknowledged: a decision about a lost peer is still to be made, or the operator
    /// prefers waiting to a hole.
    HOLD
}
