package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/// The connections of a device: opens them, watches their deadlines, and, where the options say so,
/// brings a lost one back.
///
/// Each has a place. What is lost keeps its place until its keeper, a thread that does nothing
/// else, has replaced it; a request that comes to it meanwhile fails at once, as lost.
final class Connections {
    /// How finely a deadline is measured: a late request is noticed within a tenth of it more.
    private static final int TICKS_PER_DEADLINE = 10;

    /// A server that was restarted is found soon; one that is away is not hammered at.
    private static final Duration PAUSE_MIN = Duration.ofMillis(20);

    private static final Duration PAUSE_MAX = Duration.ofSeconds(1);

    private final RemoteOptions options;
    private final Consumer<BlockException> onFailure;
    private final AtomicReference<@Nullable BlockException> failure = new AtomicReference<>();
    private final AtomicInteger turn = new AtomicInteger();
    private final ThreadLocal<Integer> home = ThreadLocal.withInitial(turn::getAndIncrement);

    /// Filled in order while opening, and full from then on up to [#count].
    private final AtomicReferenceArray<@Nullable NbdConnection> places;

    private final List<Thread> keepers;
    private final int count;
    private final RemoteExport export;
    private final Thread watchdog;
    private volatile boolean closed;

    /// Guards: downSince. Condition: `changed` wakes who waits for a connection when there is one,
    /// or when there will be none.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();

    /// Since when no connection has worked, by [System#nanoTime]; null while one does.
    private @Nullable Long downSince;

    /// Connects, for as long as [Patience#openTimeout] says.
    ///
    /// @param onFailure hears once if all is lost for good
    Connections(RemoteOptions options, Consumer<BlockException> onFailure) throws BlockException {
        this.options = options;
        this.onFailure = onFailure;
        this.places = new AtomicReferenceArray<>(options.connections());
        this.watchdog =
                Thread.ofPlatform()
                        .daemon()
                        .name("nbd-client deadlines " + options.uri())
                        .unstarted(this::watchDeadlines);
        this.keepers = IntStream.range(0, places.length()).mapToObj(this::keeper).toList();
        try {
            this.count = openPatiently();
        } catch (BlockException e) {
            forEach(NbdConnection::close);
            throw e;
        }
        this.export = at(0).export();
        watchdog.start();
        if (comesBack()) {
            keepers.subList(0, count).forEach(Thread::start);
        }
    }

    private Thread keeper(int place) {
        return Thread.ofVirtual()
                .name("nbd-client keeper %d %s".formatted(place, options.uri()))
                .unstarted(() -> keep(place));
    }

    private NbdConnection at(int place) {
        return Objects.requireNonNull(places.get(place));
    }

    /// Returns how many connections there are.
    private int openPatiently() throws BlockException {
        long start = System.nanoTime();
        Duration pause = PAUSE_MIN;
        int opened = 0;
        while (true) {
            try {
                while (opened == 0 || (opened < places.length() && isOneForAll())) {
                    openNext(opened);
                    opened++;
                }
                return opened;
            } catch (BlockException e) {
                long tried = System.nanoTime() - start;
                if (failure.get() != null
                        || tried >= options.patience().openTimeout().toNanos()
                        || Thread.currentThread().isInterrupted()) {
                    throw e;
                }
                LockSupport.parkNanos(this, pause.toNanos());
                pause = longer(pause);
            }
        }
    }

    /// Whether a flush on one connection covers them all.
    private boolean isOneForAll() {
        return at(0).export().has(NbdProtocol.FLAG_CAN_MULTI_CONN);
    }

    private void openNext(int place) throws BlockException {
        NbdConnection connection = NbdConnection.connect(options, loss -> hear(place, loss));
        places.set(place, connection);
        BlockException lost = failure.get();
        if (lost != null) {
            throw lost;
        }
        String lack = connection.export().lack(at(0).export());
        if (lack != null) {
            throw cannotUse("on another connection " + lack);
        }
    }

    private BlockException cannotUse(String why) {
        return new BlockException(Kind.INVALID, "%s: %s".formatted(options.uri(), why));
    }

    /// What every connection offers at least.
    RemoteExport export() {
        return export;
    }

    int count() {
        return count;
    }

    /// Whether a lost connection is replaced.
    boolean comesBack() {
        return options.patience().reconnectDelay().isPositive();
    }

    /// The next connection in turn that works, or one that does not if none does.
    NbdConnection pick() {
        int first = count == 1 ? 0 : Math.floorMod(nextTurn(), count);
        NbdConnection connection = at(first);
        for (int i = 1; i < count && connection.isLost(); i++) {
            connection = at((first + i) % count);
        }
        return connection;
    }

    /// Where those who wait read for themselves, each thread has a connection that it stays with,
    /// so that as few as possible meet on one.
    private int nextTurn() {
        return options.waitersRead() ? home.get() : turn.getAndIncrement();
    }

    /// Waits for a connection that works: no longer than [Patience#reconnectDelay] after the last
    /// of them was lost.
    ///
    /// @throws BlockException if there was none in time, or if there will be none
    NbdConnection await() throws BlockException {
        boolean interrupted = false;
        lock.lock();
        try {
            while (true) {
                NbdConnection connection = pick();
                if (!connection.isLost()) {
                    return connection;
                }
                long left = options.patience().reconnectDelay().toNanos() - downNanos();
                if (isOver() || left <= 0) {
                    throw gone(connection);
                }
                try {
                    changed.awaitNanos(left);
                } catch (InterruptedException _) {
                    interrupted = true;
                }
            }
        } finally {
            lock.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private BlockException gone(NbdConnection connection) {
        BlockException lost = failure.get();
        if (lost != null) {
            return lost.again();
        }
        String why =
                closed
                        ? "it was closed"
                        : "no connection for %d ms; still trying"
                                .formatted(Duration.ofNanos(downNanos()).toMillis());
        return new BlockException(
                Kind.GONE, "%s: %s".formatted(options.uri(), why), connection.loss());
    }

    /// For how long no connection has worked.
    private long downNanos() {
        lock.lock();
        try {
            if (downSince == null) {
                downSince = System.nanoTime();
            }
            return System.nanoTime() - downSince;
        } finally {
            lock.unlock();
        }
    }

    /// The one place that hears of a lost connection. Without reconnecting, all others are given up
    /// with it: which of the requests in flight the server has done is unknown, and so is whether a
    /// new connection would reach the same server with the same bytes. A server that breaks the
    /// protocol is not asked again.
    private void hear(int place, BlockException loss) {
        if (!comesBack() || isBreach(loss)) {
            fail(loss);
        } else {
            LockSupport.unpark(keepers.get(place));
        }
    }

    private static boolean isBreach(BlockException loss) {
        return loss.getCause() instanceof ProtocolException;
    }

    /// Replaces the connection of one place whenever it is lost.
    private void keep(int place) {
        Duration pause = PAUSE_MIN;
        long since = System.nanoTime();
        while (!isOver()) {
            BlockException loss = at(place).loss();
            if (loss == null || isBreach(loss)) {
                LockSupport.park(this);
                continue;
            }
            if (pick().isLost()) {
                downNanos();
            }
            // A connection that did not last is no reason to hurry.
            pause = System.nanoTime() - since > PAUSE_MAX.toNanos() ? PAUSE_MIN : longer(pause);
            since = System.nanoTime();
            LockSupport.parkNanos(this, pause.toNanos());
            if (!isOver()) {
                replace(place);
            }
        }
    }

    private void replace(int place) {
        NbdConnection fresh;
        try {
            fresh = NbdConnection.connect(options, loss -> hear(place, loss));
        } catch (BlockException _) {
            return;
        }
        String lack = fresh.export().lack(export);
        if (lack != null) {
            fresh.close();
            fail(cannotUse("after connecting again " + lack));
            return;
        }
        lock.lock();
        try {
            places.set(place, fresh);
            downSince = null;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (isOver()) {
            fresh.close();
        }
    }

    private static Duration longer(Duration pause) {
        Duration twice = pause.multipliedBy(2);
        return twice.compareTo(PAUSE_MAX) < 0 ? twice : PAUSE_MAX;
    }

    private boolean isOver() {
        return closed || failure.get() != null;
    }

    /// Why there is no connection and never will be, or null.
    @Nullable BlockException failure() {
        return failure.get();
    }

    private void fail(BlockException cause) {
        if (end(cause)) {
            onFailure.accept(cause);
        }
    }

    /// Gives all connections up for good, without telling the owner.
    ///
    /// @return whether they had not been given up before
    boolean end(BlockException cause) {
        boolean first = failure.compareAndSet(null, cause);
        forEach(connection -> connection.abort(cause));
        wake();
        return first;
    }

    private void wake() {
        lock.lock();
        try {
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        keepers.forEach(LockSupport::unpark);
        LockSupport.unpark(watchdog);
    }

    private void forEach(Consumer<NbdConnection> action) {
        for (int place = 0; place < places.length(); place++) {
            NbdConnection connection = places.get(place);
            if (connection != null) {
                action.accept(connection);
            }
        }
    }

    private void watchDeadlines() {
        Duration period = options.requestDeadline().dividedBy(TICKS_PER_DEADLINE);
        while (!isOver()) {
            LockSupport.parkNanos(this, period.toNanos());
            forEach(connection -> connection.tick(TICKS_PER_DEADLINE));
        }
    }

    /// Says goodbye and closes all of them.
    void close() {
        // The watchdog outlives the goodbyes, which a server that stands still could block.
        forEach(NbdConnection::close);
        closed = true;
        wake();
        forEach(NbdConnection::close);
    }
}
