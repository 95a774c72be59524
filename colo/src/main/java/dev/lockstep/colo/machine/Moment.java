package dev.lockstep.colo.machine;

/// What the world hands in with an event: the time of a monotonic clock, and a fresh random number.
///
/// A step uses the number for at most one purpose, so one a moment is enough.
public record Moment(long nanos, Nonce fresh) {}
