package dev.lockstep.nbd.client;

import java.nio.channels.Channel;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// Closes a channel, and so ends whatever blocks on it, unless it is itself closed in time.
final class Deadline implements AutoCloseable {
    private final CountDownLatch finished = new CountDownLatch(1);
    private volatile boolean expired;

    Deadline(Duration time, Channel channel) {
        Thread.startVirtualThread(() -> closeUnlessFinished(time, channel));
    }

    private void closeUnlessFinished(Duration time, Channel channel) {
        try {
            if (!finished.await(time.toNanos(), TimeUnit.NANOSECONDS)) {
                expired = true;
                NbdConnection.closeQuietly(channel);
            }
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    boolean hasExpired() {
        return expired;
    }

    @Override
    public void close() {
        finished.countDown();
    }
}
