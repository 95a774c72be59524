package dev.lockstep.block.qcow2;

import dev.lockstep.block.qcow2.table.Tables;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// Drops from memory what was not used for a while (`cache-clean-interval`).
final class CacheCleaner {
    private final CountDownLatch stopped = new CountDownLatch(1);

    /// Begins, until it is stopped; not at all if the interval is zero.
    void start(Tables tables, Duration interval, String image) {
        if (interval.isPositive()) {
            Thread.ofVirtual()
                    .name("clean caches of " + image)
                    .start(() -> clean(tables, interval));
        }
    }

    void stop() {
        stopped.countDown();
    }

    private void clean(Tables tables, Duration interval) {
        try {
            while (!stopped.await(interval.toMillis(), TimeUnit.MILLISECONDS)) {
                tables.dropUnused();
            }
        } catch (InterruptedException _) {
            // Nobody interrupts it; if somebody does, the caches stay as they are.
            Thread.currentThread().interrupt();
        }
    }
}
