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
/// loop naps for what is left of the time that a client needs for so many, and then finds the next
/// many together. A tick that itself took that long, because its requests are large or encrypted,
/// is followed by none: the client has been at work on the replies before, and waits for more.
/// Since polling hides how many requests a client would keep in flight, one nap in a while finds
/// out.
final class LoopPacing implements SelectStrategy {
    /// That many requests in one tick are worth a nap: fewer are all that a client with a short
    /// queue has, and it would wait for us.
    private static final int MANY_REQUESTS = 10;

    /// From the beginning of a tick to the end of the nap after it, for each request. fio, a lean
    /// client, spends 6 to 8 us on one. Of 4.5, 5.5, 6, 7 and 8 us the last three gave the highest
    /// rates, within 5 % of each other; less costs both sides more processor time.
    private static final long CLIENT_NANOS_A_REQUEST = 7_000;

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
    private long tickBeganNanos;
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
        long now = System.nanoTime();
        if (ready > 0 || hasTasks) {
            if (idle && now - idleSinceNanos < AT_ONCE_NANOS) {
                cameAtOnce++;
            }
            idle = false;
            tickBeganNanos = now;
            return ready;
        }
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
            long tickNanos = System.nanoTime() - tickBeganNanos;
            nap(Math.min(requests * CLIENT_NANOS_A_REQUEST - tickNanos, NAP_NANOS_MAX));
        } else if (cameAtOnce >= REQUESTS_BETWEEN_TRIALS) {
            cameAtOnce = 0;
            nap(NAP_NANOS_MAX);
        }
    }

    private void nap(long nanos) {
        if (nanos <= OVERSLEPT_NANOS) {
            return;
        }
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
