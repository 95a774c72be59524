package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.overlay.ByteBudget;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/// The devices of a secondary, and how they change places.
///
/// The guest has one edge for the life of the process, [#guest]. Behind it lies, in turn: a device
/// that refuses everything, while there is no checkpoint; the active buffer over the checkpoint,
/// while a primary writes; the commit, after a failover to the checkpoint; and at last the disk.
/// The primary has an edge a session, [#openTarget]; failing that edge is what fences the session.
///
/// Everything changes by the gates: they are shut and quiet, the devices are exchanged, they are
/// opened. The exchange costs the same whatever was buffered: old buffers are released, and fresh
/// ones made for the next checkpoint, a moment after it.
///
/// **Threads.** [#drain], [#fence], [#serve] and [#commit] wait for requests and belong on threads
/// that may wait. The other calls return at once, and are made one after the other.
public final class SecondaryStack implements AutoCloseable {
    /// Hears of what happens under requests, on their threads, so it returns at once.
    public interface Listener {
        /// The guest is about to write for the first time since the buffers are fresh.
        void guestWrites();

        /// A request of the primary failed, and the primary is about to hear so.
        void targetFailed(BlockException cause);

        /// The buffers hold more than four fifths of what they may.
        void buffersFilling(long bufferedBytes, long limitBytes);
    }

    private static final Logger LOG = LoggerFactory.getLogger("lockstep.colo");

    /// Longer than a checkpoint takes, and shorter than the time between two.
    private static final int RELEASE_DELAY_MILLIS = 100;

    private static final ScheduledExecutorService RELEASER =
            Executors.newSingleThreadScheduledExecutor(
                    Thread.ofPlatform().name("buffers-release").daemon().factory());

    private final Gate disk;
    private final BufferSource buffers;
    private final long limitBytes;
    private final Listener listener;
    private final Gate guest;

    /// Guards: the making of fresh buffers, one at a time. Taken before [#lock].
    private final ReentrantLock making = new ReentrantLock();

    /// Guards: everything below, and the order of exchanges. Held for no request.
    private final ReentrantLock lock = new ReentrantLock();

    private @Nullable Gate target;
    private boolean guestShut;
    private boolean targetShut;
    private volatile @Nullable Layers layers;
    private @Nullable Layers fresh;

    /// Whether there will be no swap any more.
    private boolean over;

    /// What the guest's device stands on after a failover.
    private @Nullable Gate below;

    /// What is behind [#below] until everything is committed.
    private @Nullable CommitDevice commit;

    /// A stack over a disk, whose guest is refused until there is a checkpoint.
    ///
    /// @param limitBytes how much the buffers may hold together; what does not fit is refused
    SecondaryStack(BlockDevice disk, BufferSource buffers, long limitBytes, Listener listener) {
        this.disk = new Gate(disk);
        this.buffers = buffers;
        this.limitBytes = limitBytes;
        this.listener = listener;
        this.guest = new Gate(refusing("there is no checkpoint to show yet"));
    }

    /// The guest's edge: what its export serves.
    public Gate guest() {
        return guest;
    }

    /// Holds the guest's new requests.
    public void shutGuest() {
        lock.lock();
        try {
            if (!guestShut) {
                guestShut = true;
                guest.shut();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Lets the guest's and the primary's requests through again. Harmless if they are.
    public void openGuest() {
        lock.lock();
        try {
            if (guestShut) {
                guestShut = false;
                guest.open();
            }
            openShutTarget();
        } finally {
            lock.unlock();
        }
    }

    /// Waits until nothing of the guest, who is shut, and of the primary is in flight, names fresh
    /// buffers for a checkpoint, if there is to be one, and flushes the disk. The primary's
    /// requests are held until the buffers are swapped or the guest is opened.
    ///
    /// @throws BlockException if the buffers or the disk failed, or the guest was opened meanwhile
    public void drain(Optional<Identity> next) throws BlockException {
        Gate session;
        lock.lock();
        try {
            session = target;
            if (session != null && !targetShut) {
                targetShut = true;
                session.shut();
            }
        } finally {
            lock.unlock();
        }
        if (!guest.awaitQuiet() || (session != null && !session.awaitQuiet())) {
            throw new BlockException(
                    Kind.GONE, "the guest was let through again before it was quiet");
        }
        prepare();
        if (next.isPresent()) {
            buffers.name(prepared(), next.get());
        }
        disk.flush();
    }

    private Layers prepared() {
        lock.lock();
        try {
            return Objects.requireNonNull(fresh);
        } finally {
            lock.unlock();
        }
    }

    /// Takes the session's edge away: what it has in flight is waited for by [#fence], and nothing
    /// more is admitted.
    ///
    /// @return what [#fence] waits for
    public @Nullable Gate closeTarget(String reason) {
        lock.lock();
        try {
            Gate session = target;
            target = null;
            if (session != null) {
                session.fail(new BlockException(Kind.GONE, reason));
                if (!targetShut) {
                    session.shut();
                }
                targetShut = false;
            }
            return session;
        } finally {
            lock.unlock();
        }
    }

    /// Waits until nothing of a session is in flight any more, and flushes the disk.
    public void fence(@Nullable Gate session) throws BlockException {
        if (session != null && !session.awaitQuiet()) {
            throw new IllegalStateException("a fenced edge stays shut");
        }
        disk.flush();
    }

    /// Makes an edge for a session's primary. There is none, and the guest is shut and quiet.
    ///
    /// @param saving whether old bytes are saved in the buffers; otherwise there are none any more,
    ///     and the guest is refused until the next swap
    public Gate openTarget(boolean saving) {
        lock.lock();
        try {
            if (target != null) {
                throw new IllegalStateException("one session has the target already");
            }
            Layers saved = saving ? layers : null;
            if (saving && saved == null) {
                throw new IllegalStateException("there are no buffers to save in");
            }
            if (saved == null) {
                exchange(null, refusing("the disk is being copied to"));
            }
            target = new Gate(observed(saved == null ? disk : saved.target()));
            targetShut = false;
            return target;
        } finally {
            lock.unlock();
        }
    }

    /// Starts the buffers that [#prepare] or [#drain] made: the disk as it is becomes the
    /// checkpoint. The guest and the target are quiet.
    public void swapBuffers() {
        lock.lock();
        try {
            Layers next = takeFresh();
            install(next);
            if (target != null) {
                target.replace(observed(next.target()));
            }
            openShutTarget();
        } finally {
            lock.unlock();
        }
    }

    /// Goes on with buffers that an earlier process left: the checkpoint that they are for, and
    /// what the guest wrote since. There is no session.
    void adopt(DurableBuffers kept, DurableRecord record) throws BlockException {
        Layers found = kept.find(record, disk, budget());
        if (found == null) {
            throw new IllegalStateException("no buffers are there for " + record);
        }
        lock.lock();
        try {
            install(found);
        } finally {
            lock.unlock();
        }
    }

    /// Begins with empty buffers, which a record names: the disk is its checkpoint.
    void begin(Identity checkpoint) throws BlockException {
        prepare();
        buffers.name(prepared(), checkpoint);
        swapBuffers();
    }

    /// Whether the guest wrote since the checkpoint.
    boolean holdsGuestsWrites() {
        Layers now = layers;
        return now != null && now.activeBytes() > 0;
    }

    /// Begins a failover, after which there is no target any more.
    ///
    /// @param toCheckpoint whether the checkpoint and what the guest wrote since are kept, which
    ///     [#commit] then brings onto the disk; otherwise they are dropped
    /// @return an edge to the disk as the failover leaves it, for the device that [#serve] is given
    public Gate promote(boolean toCheckpoint) {
        lock.lock();
        try {
            Layers kept = toCheckpoint ? layers : null;
            commit = kept == null ? null : new CommitDevice(disk, kept);
            below = new Gate(commit == null ? disk : commit);
            release(fresh);
            fresh = null;
            over = true;
            return below;
        } finally {
            lock.unlock();
        }
    }

    /// Puts the device of a promoted side behind the guest's edge as soon as that is quiet, and
    /// lets the guest through. The guest may be shut before, so that nothing of it passes until
    /// then.
    public void serve(BlockDevice device) {
        guest.drain();
        lock.lock();
        try {
            guest.replace(device);
            guest.open();
            if (commit == null) {
                release(layers);
                layers = null;
            }
        } finally {
            lock.unlock();
        }
        openGuest();
    }

    /// Brings what the buffers hold onto the disk, while the guest is served; then the buffers are
    /// gone. After a call that failed, the next one goes on where that one stopped.
    ///
    /// @throws BlockException if something could not be written to the disk
    public void commit() throws BlockException {
        CommitDevice device;
        Gate edge;
        Layers committed = layers;
        lock.lock();
        try {
            device = commit;
            edge = below;
        } finally {
            lock.unlock();
        }
        if (device == null || edge == null || committed == null) {
            return;
        }
        new Committer(device, committed, disk).run();
        edge.drain();
        edge.replace(disk);
        edge.open();
        lock.lock();
        try {
            commit = null;
            layers = null;
        } finally {
            lock.unlock();
        }
        release(committed);
    }

    /// Bytes that the buffers hold.
    public long bufferedBytes() {
        Layers now = layers;
        return now == null ? 0 : now.activeBytes() + now.hiddenBytes();
    }

    /// Bytes of the disk that the primary has overwritten since the checkpoint: what a failover to
    /// it drops.
    public long hiddenBytes() {
        Layers now = layers;
        return now == null ? 0 : now.hiddenBytes();
    }

    /// Refuses every request of the guest from now on.
    public void refuseGuest(String reason) {
        guest.fail(new BlockException(Kind.IO, reason));
    }

    /// Makes the buffers for the next swap, unless they are there or there will be none.
    public void prepare() throws BlockException {
        making.lock();
        try {
            if (needsFresh()) {
                keep(buffers.fresh(disk, budget()));
            }
        } finally {
            making.unlock();
        }
    }

    private boolean needsFresh() {
        lock.lock();
        try {
            return fresh == null && !over;
        } finally {
            lock.unlock();
        }
    }

    private void keep(Layers made) {
        lock.lock();
        try {
            if (!over) {
                fresh = made;
                return;
            }
        } finally {
            lock.unlock();
        }
        buffers.release(made);
    }

    /// Closes the buffers, which remain if they are durable. Nothing is in flight.
    @Override
    public void close() {
        lock.lock();
        try {
            for (Layers each : new Layers[] {layers, fresh}) {
                if (each != null && !buffers.isDurable()) {
                    release(each);
                }
            }
            layers = null;
            fresh = null;
            over = true;
        } finally {
            lock.unlock();
        }
        if (buffers.isDurable()) {
            buffers.close();
        }
    }

    private ByteBudget budget() {
        return new ByteBudget(
                limitBytes, () -> listener.buffersFilling(bufferedBytes(), limitBytes));
    }

    private void install(Layers next) {
        exchange(next, guestDevice(next));
    }

    /// Puts a device behind the guest's edge, and releases the layers that were there.
    private void exchange(@Nullable Layers next, BlockDevice device) {
        guest.drain();
        guest.replace(device);
        guest.open();
        release(layers);
        layers = next;
    }

    private BlockDevice guestDevice(Layers next) {
        return new ObservedDevice(next.guest(), new FirstWrite(listener));
    }

    private BlockDevice observed(BlockDevice device) {
        return new ObservedDevice(
                device,
                new ObservedDevice.Observer() {
                    @Override
                    public void failed(BlockException cause) {
                        listener.targetFailed(cause);
                    }
                });
    }

    private Layers takeFresh() {
        Layers taken = fresh;
        fresh = null;
        if (taken == null) {
            throw new IllegalStateException("no buffers were prepared");
        }
        return taken;
    }

    private void openShutTarget() {
        if (target != null && targetShut) {
            targetShut = false;
            target.open();
        }
    }

    private RefusingDevice refusing(String reason) {
        return new RefusingDevice(disk.description(), disk.size(), disk.capabilities(), reason);
    }

    /// Gives buffers back behind the exchange that took them away, and then makes the next ones.
    /// The kernel frees a GiB in 100 ms of one core, and to make files in a folder may wait for its
    /// disk: while a checkpoint is answered that core and the guest have better to do.
    private void release(@Nullable Layers old) {
        RELEASER.schedule(() -> renew(old), RELEASE_DELAY_MILLIS, TimeUnit.MILLISECONDS);
    }

    private void renew(@Nullable Layers old) {
        if (old != null) {
            buffers.release(old);
        }
        try {
            prepare();
        } catch (BlockException e) {
            LOG.debug("fresh buffers are made when they are needed: {}", e.getMessage());
        }
    }

    /// Tells of the first write only. It is told before the write begins, and by every write that
    /// begins before the telling has returned.
    private static final class FirstWrite implements ObservedDevice.Observer {
        private final Listener listener;
        private volatile boolean told;

        FirstWrite(Listener listener) {
            this.listener = listener;
        }

        @Override
        public void beforeWrite() {
            if (!told) {
                listener.guestWrites();
                told = true;
            }
        }
    }
}
