package dev.lockstep.colo.machine;

/// What a failover keeps.
public enum FailoverTo {
    /// The last checkpoint and what this side's guest wrote since; drops what the primary wrote.
    CHECKPOINT,
    /// Every write that the primary acknowledged; drops what this side's guest wrote.
    LATEST
}
