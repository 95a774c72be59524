package dev.lockstep.nbd.server;

import io.netty.channel.SelectStrategy;
import io.netty.util.IntSupplier;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/// When a loop that found no more work looks again. Confined to the loop's thread.
///
/// With few requests about, it polls for a while and only then sleeps until there is more: waking a
/// thread costs tens of microseconds, which is most of the time of a lone small request.
///
/// With many, polling would do harm: it picks up every request by itself, so that each costs a read
/// and a write of the socket, and a wake-up of the client too. So after a tick of many requests the
/// loop naps, for less time than the client needs to take their replies, and then finds the next
/// many together. Since polling hides how many requests a client would keep in flight, one nap in a
/// while finds out.
final class LoopPacing implements SelectStrategy {
    /// That many requests in one tick are worth a nap: fewer are all that a client with a short
    /// queue has, and it would wait for us.
    private static final int MANY_REQUESTS = 10;

    /// The nap for each request just answered. fio, a lean client, takes 4.5 us or more for each
    /// reply and the next request. Of 2, 2.8 and 3.5 us this cost the least processor time, in a
    /// comparison on a noisy machine.
    private static final long NAP_NANOS_A_REQUEST = 3_500;

    /// The longest nap, which a lone request that arrives meanwhile has to wait.
    private static final long NAP_NANOS_MAX = 60_000;

    /// What a thread sleeps beyond the time it asked for.
    private static final long OVERSLEPT_NANOS = 15_000;

    /// A request that comes so soon after the last reply is no answer to it: the client had more to
    /// ask.
    private static final long AT_ONCE_NANOS = 3_000;

    /// So many requests that came at once are followed by a nap, to see how many there will be. At
    /// the rates in question that is one nap in some milliseconds.
    private static final int REQUESTS_BETWEEN_TRIALS = 512;

    private static final Logger LOG = LoggerFactory.getLogger(LoopPacing.class);

    private final long spinNanos;
    private boolean idle;
    private long idleSinceNanos;
    private int cameAtOnce;
    private boolean napsAreShort;

    LoopPacing(Duration spin) {
        spinNanos = spin.toNanos();
    }

    @Override
    public int calculateStrategy(IntSupplier poll, boolean hasTasks) throws Exception {
        int requests = LoopBuffers.current().takeRequests();
        if (!hasTasks) {
            napAfter(requests);
        }
        int ready = poll.get();
        if (ready > 0 || hasTasks) {
            if (idle && System.nanoTime() - idleSinceNanos < AT_ONCE_NANOS) {
                cameAtOnce++;
            }
            idle = false;
            return ready;
        }
        long now = System.nanoTime();
        if (!idle) {
            idle = true;
            idleSinceNanos = now;
        }
        if (now - idleSinceNanos < spinNanos) {
            Thread.onSpinWait();
            return 0;
        }
        idle = false;
        return SelectStrategy.SELECT;
    }

    private void napAfter(int requests) {
        if (requests >= MANY_REQUESTS) {
            nap(Math.min(requests * NAP_NANOS_A_REQUEST, NAP_NANOS_MAX));
        } else if (cameAtOnce >= REQUESTS_BETWEEN_TRIALS) {
            cameAtOnce = 0;
            nap(NAP_NANOS_MAX);
        }
    }

    private void nap(long nanos) {
        if (!napsAreShort) {
            napsAreShort = true;
            wakeOnTime();
        }
        LockSupport.parkNanos(nanos - OVERSLEPT_NANOS);
    }

    /// By default Linux lets a thread sleep 50 us too long, in order to wake several together.
    private static void wakeOnTime() {
        try {
            Path thread = Path.of("/proc/thread-self").toRealPath().getFileName();
            Files.writeString(Path.of("/proc", thread.toString(), "timerslack_ns"), "1");
        } catch (IOException e) {
            LOG.debug("naps take longer than asked for: {}", e.toString());
        }
    }
}
