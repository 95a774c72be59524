package dev.lockstep.colo.primary;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.colo.Status;
import dev.lockstep.colo.machine.Acknowledgement;
import dev.lockstep.colo.machine.Action;
import dev.lockstep.colo.machine.Event;
import dev.lockstep.colo.machine.Event.Culprit;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Message;
import dev.lockstep.colo.machine.Node;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.State;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteOptions;
import dev.lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Function;

/// The hands of a side that leads: carries out what the machine of a primary decides, over a pair
/// device that it owns and the gate of the guest. A secondary that was promoted uses the same one
/// for its disk.
///
/// [#installed] and [#carryOut] are called by the actor, in its order. What takes long runs on a
/// virtual thread and ends in an event. Whatever ends late, of a session that is over by then, says
/// nothing: an event is posted only while its attachment is the present one, under the lock that
/// takes it down.
public final class Leader implements PairListener, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("lockstep.colo");

    /// Every request but a copy's is far shorter.
    private static final Duration CONNECT_PATIENCE = Duration.ofSeconds(5);

    private static final long WARN_INTERVAL_NANOS = 1_000_000_000L;

    private final AtomicLong warnedNanos = new AtomicLong(System.nanoTime() - WARN_INTERVAL_NANOS);
    private final Consumer<Event> post;
    private final Listener listener;
    private final Duration ioTimeout;
    private final PairDevice pair;
    private final Gate guest;
    private final Pauses pauses = new Pauses();

    /// Guards: peer, link, wanted, attached, copy.
    private final ReentrantLock lock = new ReentrantLock();

    private @Nullable Peer peer;
    private @Nullable PeerLink link;

    /// The session that is to be attached or is, until the machine says otherwise.
    private @Nullable Nonce wanted;

    private @Nullable Attachment attached;
    private @Nullable InitialSync copy;

    /// Only the actor's thread uses them.
    private @Nullable Heartbeat heartbeat;

    private boolean guestShut;

    /// What a leader tells its runtime besides events, from any thread; the calls return at once.
    public interface Listener {
        /// A request failed on a child: the event QUORUM_REPORT_BAD.
        void childFailed(String node, Failure failure);

        /// A request failed as a whole: the event QUORUM_FAILURE.
        void requestFailed(Failure failure);
    }

    /// The remote child of one session.
    private record Attachment(Nonce session, RemoteDevice device, Gate gate) {}

    /// A leader without a peer yet.
    ///
    /// @param local the disk; reads come from it
    /// @param guestOf makes the edge of the guest to the pair device
    /// @param peer where the secondary is; null for a promoted side, which has none yet
    /// @param ioTimeout how long a request may stay unanswered before the peer counts as lost
    /// @param post hands an event to the actor
    public Leader(
            Gate local,
            Function<PairDevice, Gate> guestOf,
            @Nullable Peer peer,
            Duration ioTimeout,
            Consumer<Event> post,
            Listener listener) {
        this.post = post;
        this.listener = listener;
        this.ioTimeout = ioTimeout;
        this.pair = new PairDevice(local, this);
        this.guest = guestOf.apply(pair);
        if (peer != null) {
            pointAt(peer);
        }
    }

    /// What the guest writes to.
    public PairDevice pair() {
        return pair;
    }

    /// The guest's edge.
    public Gate guest() {
        return guest;
    }

    /// Where the secondary is, or was; a promoted side has none yet.
    public Optional<Peer> peer() {
        lock.lock();
        try {
            return Optional.ofNullable(peer);
        } finally {
            lock.unlock();
        }
    }

    /// Points the link at another secondary; the machine is about to be told.
    public void pointAt(Peer other) {
        lock.lock();
        try {
            if (link != null) {
                link.close();
            }
            peer = other;
            link = new PeerLink(other, ioTimeout, pair.size());
        } finally {
            lock.unlock();
        }
    }

    /// How far the copy is, if one runs.
    public Optional<Status.SyncProgress> progress() {
        lock.lock();
        try {
            return Optional.ofNullable(copy)
                    .map(running -> new Status.SyncProgress(running.doneBytes(), pair.size()));
        } finally {
            lock.unlock();
        }
    }

    /// How long the guest was held at checkpoints.
    public Pauses pauses() {
        return pauses;
    }

    /// Takes over what the machine believes now.
    public void installed(Node node) {
        pair.permit(Acknowledgement.of(node));
        if (node.state() == State.RUNNING) {
            pair.copied();
        }
        if (node.state() == State.FAILED) {
            guest.fail(new BlockException(Kind.IO, node.error().orElse("this side has failed")));
        }
        beat(node.session().orElse(null));
    }

    /// The remote child, if there is one.
    Optional<String> remoteChild() {
        lock.lock();
        try {
            return Optional.ofNullable(attached).map(it -> it.device().description());
        } finally {
            lock.unlock();
        }
    }

    /// Carries out an action of a primary.
    ///
    /// @return false if it is none
    public boolean carryOut(Action action) {
        switch (action) {
            case Action.Flush(long ticket) -> inBackground(ticket, () -> flush(ticket));
            case Action.Drain(long ticket, Optional<Identity> _) ->
                    inBackground(ticket, () -> drain(ticket));
            case Action.Attach(long ticket, Nonce session) -> {
                want(session);
                inBackground(ticket, () -> attach(ticket, session));
            }
            case Action.ShutGuest() -> shutGuest();
            case Action.OpenGuest() -> openGuest();
            case Action.FailRemote(String reason) -> dropPeer(reason);
            case Action.Send(long call, Message.Request request) ->
                    Thread.ofVirtual().name("colo-send-" + call).start(() -> send(call, request));
            case Action.StartCopy() -> startCopy();
            default -> {
                return false;
            }
        }
        return true;
    }

    @Override
    public void peerFailed(Gate gate, Failure failure) {
        listener.childFailed(PairNodes.REMOTE, failure);
        lose(gate, reason(failure.cause()));
    }

    @Override
    public void localFailed(Failure failure) {
        warn(failure);
        listener.childFailed(PairNodes.LOCAL, failure);
        listener.requestFailed(failure);
    }

    /// Once a second: a guest on a broken disk tries thousands of times.
    private void warn(Failure failure) {
        long now = System.nanoTime();
        long before = warnedNanos.get();
        if (now - before >= WARN_INTERVAL_NANOS && warnedNanos.compareAndSet(before, now)) {
            LOG.warn("the local disk failed the guest: {}", reason(failure.cause()));
        }
    }

    /// Leaves the peer and releases what belongs to it. The disk and the guest's edge stay.
    @Override
    public void close() {
        beat(null);
        pair.abort(stopped());
        dropPeer("this side has stopped");
        lock.lock();
        try {
            if (link != null) {
                link.close();
            }
        } finally {
            lock.unlock();
        }
    }

    /// What a request hears that nobody will carry out any more.
    static BlockException stopped() {
        return new BlockException(Kind.GONE, "this side has stopped");
    }

    private interface Work {
        void run() throws BlockException;
    }

    /// Runs what ends in an event of its own; only what it throws becomes one here.
    private void inBackground(long ticket, Work work) {
        Thread.ofVirtual()
                .name("colo-action-" + ticket)
                .start(
                        () -> {
                            try {
                                work.run();
                            } catch (BlockException e) {
                                post.accept(new Event.Failed(ticket, Culprit.LOCAL, reason(e)));
                            } catch (RuntimeException e) {
                                LOG.error("action {} went wrong", ticket, e);
                                post.accept(new Event.Failed(ticket, Culprit.LOCAL, e.toString()));
                            }
                        });
    }

    private void flush(long ticket) {
        endFlush(ticket, pair.flushNow());
    }

    private void drain(long ticket) throws BlockException {
        if (!guest.awaitQuiet()) {
            post.accept(
                    new Event.Failed(ticket, Culprit.LOCAL, "the guest was let through meanwhile"));
            return;
        }
        pauses.quiet();
        pair.reconcile();
        PairDevice.FlushOutcome outcome = pair.flushNow();
        pauses.flushed();
        endFlush(ticket, outcome);
    }

    private void endFlush(long ticket, PairDevice.FlushOutcome outcome) {
        if (outcome.peerFailure() != null) {
            post.accept(new Event.Failed(ticket, Culprit.REMOTE, reason(outcome.peerFailure())));
        } else if (outcome.localFailure() != null) {
            post.accept(new Event.Failed(ticket, Culprit.LOCAL, reason(outcome.localFailure())));
        } else {
            post.accept(new Event.Done(ticket));
        }
    }

    private void want(Nonce session) {
        lock.lock();
        try {
            wanted = session;
        } finally {
            lock.unlock();
        }
    }

    private void attach(long ticket, Nonce session) {
        try {
            join(session, connect(session));
            post.accept(new Event.Done(ticket));
        } catch (BlockException e) {
            post.accept(new Event.Failed(ticket, Culprit.REMOTE, reason(e)));
        }
    }

    private RemoteDevice connect(Nonce session) throws BlockException {
        RemoteOptions options =
                presentPeer()
                        .options(session.toString())
                        .withDeadlines(CONNECT_PATIENCE, ioTimeout);
        return RemoteDevice.open(options, cause -> connectionLost(session, cause));
    }

    private void join(Nonce session, RemoteDevice device) throws BlockException {
        lock.lock();
        try {
            if (session.equals(wanted)
                    && device.failure() == null
                    && device.size() == pair.size()) {
                Gate gate = new Gate(device);
                attached = new Attachment(session, device, gate);
                pair.attach(gate, false);
                return;
            }
        } finally {
            lock.unlock();
        }
        device.close();
        throw new BlockException(
                Kind.GONE,
                device.size() == pair.size()
                        ? "the session ended before the secondary's disk was attached"
                        : "%s has %d bytes, this disk has %d"
                                .formatted(device.description(), device.size(), pair.size()));
    }

    private void connectionLost(Nonce session, BlockException cause) {
        lock.lock();
        try {
            if (attached != null && attached.session().equals(session)) {
                pair.losePeer(cause);
                post.accept(new Event.RemoteFailed(reason(cause)));
            }
        } finally {
            lock.unlock();
        }
    }

    private void lose(Gate gate, String why) {
        lock.lock();
        try {
            if (attached != null && attached.gate() == gate) {
                post.accept(new Event.RemoteFailed(why));
            }
        } finally {
            lock.unlock();
        }
    }

    private void dropPeer(String why) {
        Attachment gone;
        lock.lock();
        try {
            wanted = null;
            gone = attached;
            attached = null;
            if (copy != null) {
                copy.cancel(why);
                copy = null;
            }
            pair.losePeer(new BlockException(Kind.GONE, why));
            pair.detach();
        } finally {
            lock.unlock();
        }
        if (gone != null) {
            Thread.ofVirtual().name("colo-release").start(() -> release(gone));
        }
    }

    private static void release(Attachment gone) {
        gone.gate().drain();
        gone.device().close();
    }

    private void send(long call, Message.Request request) {
        @Nullable PeerLink to;
        lock.lock();
        try {
            to = link;
        } finally {
            lock.unlock();
        }
        if (to == null) {
            post.accept(new Event.Unreachable(call, "there is no peer"));
            return;
        }
        try {
            post.accept(new Event.Replied(call, to.ask(request)));
        } catch (QmpException e) {
            post.accept(new Event.Refused(call, e.description()));
        } catch (IOException e) {
            post.accept(new Event.Unreachable(call, reason(e)));
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    /// The peer of a session, which no side without a peer begins.
    private Peer presentPeer() {
        return peer().orElseThrow();
    }

    private void startCopy() {
        InitialSync sync = new InitialSync(pair);
        lock.lock();
        try {
            if (attached == null) {
                return;
            }
            copy = sync;
        } finally {
            lock.unlock();
        }
        Thread.ofVirtual().name("colo-copy").start(() -> runCopy(sync));
    }

    private void runCopy(InitialSync sync) {
        Event end;
        try {
            sync.run();
            end = new Event.Copied();
        } catch (BlockException e) {
            end = new Event.RemoteFailed("the copy ended early: " + reason(e));
        }
        lock.lock();
        try {
            if (copy == sync) {
                copy = null;
                post.accept(end);
            }
        } finally {
            lock.unlock();
        }
    }

    private void beat(@Nullable Nonce session) {
        if (heartbeat != null && !heartbeat.session().equals(session)) {
            heartbeat.close();
            heartbeat = null;
        }
        if (heartbeat == null && session != null) {
            heartbeat = Heartbeat.start(presentPeer(), session, post);
        }
    }

    private void shutGuest() {
        if (!guestShut) {
            pauses.begin();
            guest.shut();
            guestShut = true;
        }
    }

    private void openGuest() {
        if (guestShut) {
            guest.open();
            guestShut = false;
            pauses.end().ifPresent(pause -> LOG.info("{}", pause));
        }
    }

    private static String reason(IOException e) {
        String message = e.getMessage();
        return message == null ? e.toString() : message;
    }
}
