package dev.lockstep.nbd.server;

import io.netty.channel.SelectStrategy;
import io.netty.util.IntSupplier;

import java.time.Duration;

/// Polls for a while after there was work, then sleeps until there is more. Waking a thread costs
/// tens of microseconds, which is most of the time of a lone small request.
final class SpinThenSleep implements SelectStrategy {
    private final long spinNanos;
    private long spinUntilNanos;
    private boolean spinning;

    SpinThenSleep(Duration spin) {
        spinNanos = spin.toNanos();
    }

    @Override
    public int calculateStrategy(IntSupplier poll, boolean hasTasks) throws Exception {
        int ready = poll.get();
        if (ready > 0 || hasTasks) {
            spinning = false;
            return ready;
        }
        long now = System.nanoTime();
        if (!spinning) {
            spinning = true;
            spinUntilNanos = now + spinNanos;
        }
        if (now - spinUntilNanos < 0) {
            Thread.onSpinWait();
            return 0;
        }
        spinning = false;
        return SelectStrategy.SELECT;
    }
}
