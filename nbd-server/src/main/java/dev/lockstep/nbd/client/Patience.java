package dev.lockstep.nbd.client;

import java.time.Duration;

/// How long to wait for a server.
///
/// @param connectDeadline how long connecting and the handshake may take together, each time
/// @param requestDeadline how long a request may be unanswered before the server counts as dead;
///     a zero, discard or status request of more than a GiB has this time for each GiB
/// @param openTimeout how long opening goes on trying while it fails; zero to try once
/// @param reconnectDelay how long requests wait for a lost connection to come back; zero never to
///     connect again
public record Patience(
        Duration connectDeadline,
        Duration requestDeadline,
        Duration openTimeout,
        Duration reconnectDelay) {

    /// 10 s to connect, 30 s a request, no second attempt.
    public static final Patience DEFAULT =
            new Patience(
                    Duration.ofSeconds(10), Duration.ofSeconds(30), Duration.ZERO, Duration.ZERO);

    /// Checks the durations.
    public Patience {
        if (!connectDeadline.isPositive() || !requestDeadline.isPositive()) {
            throw new IllegalArgumentException("a deadline is longer than nothing");
        }
        if (openTimeout.isNegative() || reconnectDelay.isNegative()) {
            throw new IllegalArgumentException("a waiting time is not negative");
        }
    }
}
