package dev.lockstep.qmp;

/// The connection that a command came from.
public interface Caller {
    /// Says who it is, for logs: `127.0.0.1:4711`, or `unix client 3`.
    String description();

    /// Has something done once when the connection ends, or now if it has. It runs on one of the
    /// connection's threads and must not block.
    void whenGone(Runnable action);

    /// Ends the connection; what was already queued for it may be lost.
    void disconnect();
}
