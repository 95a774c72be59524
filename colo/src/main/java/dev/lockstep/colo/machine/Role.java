package dev.lockstep.colo.machine;

/// Who leads. A secondary becomes a primary by a failover.
public enum Role {
    /// Its guest's writes are the truth; it drives the secondary if it has one.
    PRIMARY,
    /// It follows a primary, or waits for one.
    SECONDARY
}
