package dev.lockstep.colo.machine;

/// What a primary does when it loses its secondary.
public enum OnPeerLoss {
    /// Store that the peer is stale, and go on alone.
    CONTINUE,
    /// Hold the guest's writes until the operator decides.
    STOP
}
