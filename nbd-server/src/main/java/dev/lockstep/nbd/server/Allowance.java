package dev.lockstep.nbd.server;

import java.util.concurrent.atomic.AtomicLong;

/// What one connection may hold at a time: every request from its admission until the kernel took
/// its reply. Confined to the connection's event loop, but for the server's total.
///
/// The worst case of a server: its total, and one request beyond it for each connection.
final class Allowance {
    /// Two requests of the largest size, so that one is read while the other is written.
    static final long CONNECTION_BYTES_MAX = 64L << 20;

    /// Each has a virtual thread; no client is known to keep more than 128 in flight.
    static final int CONNECTION_REQUESTS_MAX = 1024;

    /// Four connections at their limit.
    static final long SERVER_BYTES_MAX = 4 * CONNECTION_BYTES_MAX;

    /// What a request costs beside its buffer: the virtual thread, its stack, the request itself.
    static final int REQUEST_BYTES = 1 << 10;

    private final AtomicLong serverBytes;
    private long bytes;
    private int requests;

    /// @param serverBytes what all connections of the server hold together
    Allowance(AtomicLong serverBytes) {
        this.serverBytes = serverBytes;
    }

    /// Takes `cost` bytes for one more request, if that fits; it always does when nothing is held.
    boolean admit(long cost) {
        boolean fits =
                requests < CONNECTION_REQUESTS_MAX
                        && bytes + cost <= CONNECTION_BYTES_MAX
                        && serverBytes.get() + cost <= SERVER_BYTES_MAX;
        if (fits || requests == 0) {
            hold(cost);
            return true;
        }
        return false;
    }

    /// Takes `cost` bytes, whether that fits or not.
    void hold(long cost) {
        requests++;
        bytes += cost;
        serverBytes.addAndGet(cost);
    }

    /// Gives back what one request took.
    void release(long cost) {
        requests--;
        bytes -= cost;
        serverBytes.addAndGet(-cost);
    }
}
