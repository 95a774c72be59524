package dev.lockstep.nbd.server;

/// A fault in force on a server.
public interface InjectedFault {
    /// How many requests it has picked, those that it delays now included.
    long hits();

    /// Ends it. The requests that it delays go on at once.
    void remove();
}
