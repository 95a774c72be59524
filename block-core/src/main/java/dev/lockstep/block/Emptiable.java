package dev.lockstep.block;

/// A device above another that can give up all that it holds at once, so that the other shows
/// everywhere: what a commit ends with.
public interface Emptiable {
    /// Gives up everything; on return that is as durable as a flush makes a write. No request is in
    /// flight. What is below is on stable storage.
    ///
    /// @throws BlockException if it may not be durable; nothing was given up in memory then
    void empty() throws BlockException;
}
