package dev.lockstep.block;

/// A request that was begun and whose outcome is still to be fetched.
///
/// Who began it calls [#await] exactly once, whatever happens meanwhile; until that has returned,
/// the request's buffer belongs to the device.
public interface Pending {
    /// One that was done at once.
    Pending DONE = () -> {};

    /// Returns when the request is done.
    ///
    /// @throws BlockException if it failed
    void await() throws BlockException;
}
