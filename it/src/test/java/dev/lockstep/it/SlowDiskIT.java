package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Duration;

/// One slow disk stalls nobody else.
class SlowDiskIT {
    private static final Duration DELAY = Duration.ofSeconds(2);

    @TempDir Path folder;

    @Test
    void heartbeats_the_monitor_and_the_other_guest_go_on_while_a_write_takes_two_seconds()
            throws Exception {
        try (Pair pair = new Pair(folder, 16 << 20)) {
            Lockstep secondary = pair.startSecondary();
            Lockstep primary = pair.startPrimary("--sync", "none");
            Guest.run(primary.uri(), "write -P 1 0 64k");
            // Its guest sees the last checkpoint.
            pair.checkpoint();
            try (Fault _ =
                            Fault.inject(
                                    secondary.pid(),
                                    pair.secondaryDisk,
                                    Fault.WRITES,
                                    "delay_enter=" + DELAY.toMillis() * 1000);
                    Monitor primaryMonitor = new Monitor(pair.primaryMonitor());
                    Monitor secondaryMonitor = new Monitor(pair.secondaryMonitor())) {
                Thread slow =
                        Thread.ofVirtual()
                                .start(() -> Guest.run(primary.uri(), "write -P 2 0 64k"));
                long endNanos = System.nanoTime() + DELAY.toNanos();
                int asked = 0;
                while (System.nanoTime() < endNanos && slow.isAlive()) {
                    long askedNanos = System.nanoTime();
                    primaryMonitor.execute("query-status", "{}");
                    secondaryMonitor.execute("query-status", "{}");
                    long tookMillis = (System.nanoTime() - askedNanos) / 1_000_000;
                    assertTrue(tookMillis < 500, "the monitors took " + tookMillis + " ms");
                    asked++;
                }
                assertTrue(asked > 10, "asked " + asked + " times");
                Guest.run(secondary.uri(), "read -P 1 0 64k", "write -P 3 1M 4k");
                slow.join();
            }
            assertEquals("running", pair.primaryStatus().get("state").asText());
            assertEquals("running", pair.secondaryStatus().get("state").asText());
        }
    }
}
