package dev.lockstep.colo.machine;

/// What an operator or a manager can ask of a side.
public sealed interface Order {
    /// Take a checkpoint now.
    record Checkpoint() implements Order {}

    /// The primary is fenced, the caller states: be the primary.
    record Failover(FailoverTo to, boolean force) implements Order {}

    /// The secondary is gone, the caller states: a primary goes on alone, even if told to stop.
    record GoAlone() implements Order {}

    /// Copy everything to a new secondary while the guest runs. The link already points at it.
    record Resync(boolean force) implements Order {}

    /// Stop cleanly.
    record Quit() implements Order {}
}
