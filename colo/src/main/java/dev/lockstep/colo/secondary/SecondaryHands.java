package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.colo.Actor;
import dev.lockstep.colo.ColoMonitor;
import dev.lockstep.colo.ColoMonitor.ExitReason;
import dev.lockstep.colo.PrimaryOptions;
import dev.lockstep.colo.SecondaryOptions;
import dev.lockstep.colo.machine.Action;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Event;
import dev.lockstep.colo.machine.Event.Culprit;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Node;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Role;
import dev.lockstep.colo.machine.State;
import dev.lockstep.colo.machine.Step;
import dev.lockstep.colo.primary.Leader;
import dev.lockstep.colo.primary.QuorumReports;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.server.NbdServer;
import dev.lockstep.qmp.Caller;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;

/// Carries out what the machine of a secondary decides: the actor that runs it, the devices, and
/// the listener that the joined primary writes to. After a failover it leaves to a [Leader] what is
/// a primary's.
final class SecondaryHands implements Actor.Hands, SecondaryStack.Listener, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("lockstep.colo");

    private final String name;
    private final SecondaryStack stack;
    private final ColoMonitor monitor;
    private final TargetExports target;
    private final NbdServer server;
    private final Actor actor;
    private final Set<Caller> heartbeats = ConcurrentHashMap.newKeySet();
    private final AtomicBoolean targetFailed = new AtomicBoolean();
    private final CountDownLatch ended = new CountDownLatch(1);
    private volatile Optional<String> failure = Optional.empty();
    private volatile @Nullable String primaryAddress;
    private volatile @Nullable Leader leader;
    private volatile long droppedBytes;

    /// Hands that begin with what a start decided. Nothing is listened on yet.
    SecondaryHands(
            SecondaryOptions options,
            BlockDevice disk,
            BufferSource buffers,
            Step first,
            Actor.RecordStore store,
            ColoMonitor monitor)
            throws BlockException {
        this.name = options.name();
        this.monitor = monitor;
        this.target = new TargetExports(options.name());
        this.server = NbdServer.start(target, options.tls().serverOptions(options.listen()));
        this.actor = new Actor(options.name(), first, store, this);
        this.stack = new SecondaryStack(disk, buffers, options.bufferLimitBytes(), this);
        begin(first.node(), buffers);
    }

    private void begin(Node node, BufferSource buffers) throws BlockException {
        boolean committing = node.state() == State.FAILING_OVER;
        if (node.role() == Role.PRIMARY && !committing) {
            lead(false);
            return;
        }
        DurableRecord record = node.record().orElse(null);
        if (record != null
                && (committing || node.servesGuest())
                && buffers instanceof DurableBuffers kept
                && kept.has(record)) {
            stack.adopt(kept, record);
            if (stack.holdsGuestsWrites()) {
                actor.post(new Event.GuestWrote());
            }
        } else if (record != null && node.servesGuest()) {
            stack.begin(record.identity());
        }
        if (!committing) {
            // The next swap uses them; that they can be made at all is better known now.
            stack.prepare();
        }
    }

    Actor actor() {
        return actor;
    }

    SecondaryStack stack() {
        return stack;
    }

    /// Listens for the primary.
    Address listen(Address address) throws IOException {
        return server.listen(address);
    }

    /// Whether a session is open.
    boolean hasTarget() {
        return target.isOpen();
    }

    /// The leader of a promoted side; null before.
    @Nullable Leader leader() {
        return leader;
    }

    /// Where the heartbeat comes from; null if there has been none.
    @Nullable String primaryAddress() {
        return primaryAddress;
    }

    /// How much of what the primary wrote the last failover dropped.
    long droppedBytes() {
        return droppedBytes;
    }

    /// The primary of a session ticked. When the connection it came by ends, the primary is gone or
    /// cut off, and there is no need to wait for the silence.
    void heard(Nonce session, Caller caller) {
        primaryAddress = caller.description();
        if (heartbeats.add(caller)) {
            caller.whenGone(() -> heartbeatLost(session, caller));
        }
        actor.post(new Event.Heard(session));
    }

    private void heartbeatLost(Nonce session, Caller caller) {
        heartbeats.remove(caller);
        if (actor.node().session().equals(Optional.of(session))) {
            actor.post(new Event.LinkLost("the primary's heartbeat connection ended"));
        }
    }

    @Override
    public void guestWrites() {
        actor.post(new Event.GuestWrote());
    }

    /// The first failure of a session is told; its primary goes on alone after it.
    @Override
    public void targetFailed(BlockException cause) {
        if (targetFailed.compareAndSet(false, true)) {
            actor.post(new Event.RemoteFailed(String.valueOf(cause.getMessage())));
        }
    }

    @Override
    public void buffersFilling(long bufferedBytes, long limitBytes) {
        LOG.warn(
                "the buffers hold {} of {} bytes; a checkpoint empties them",
                bufferedBytes,
                limitBytes);
        monitor.buffersFilling(bufferedBytes, limitBytes);
    }

    /// Lets [#awaitEnd] return.
    void end(Optional<String> reason) {
        if (ended.getCount() > 0) {
            failure = reason;
            ended.countDown();
        }
    }

    /// Waits for [#end].
    ///
    /// @return why this side cannot go on, or empty if it was asked to stop
    Optional<String> awaitEnd() throws InterruptedException {
        ended.await();
        return failure;
    }

    @Override
    public void installed(Node node) {
        Leader leading = leader;
        if (leading != null) {
            leading.installed(node);
        } else if (node.state() == State.FAILED) {
            stack.refuseGuest(node.error().orElse("this side has failed"));
        }
    }

    @Override
    public void carryOut(Action action) {
        Leader leading = leader;
        if (leading != null && leading.carryOut(action)) {
            return;
        }
        switch (action) {
            case Action.ShutGuest _ -> stack.shutGuest();
            case Action.OpenGuest _ -> stack.openGuest();
            case Action.Drain(long ticket, Optional<Identity> next) ->
                    actor.begin(ticket, Culprit.LOCAL, () -> stack.drain(next));
            case Action.Fence(long ticket) -> fence(ticket);
            case Action.OpenTarget(Nonce session, boolean saving) -> {
                targetFailed.set(false);
                target.open(session, stack.openTarget(saving));
            }
            case Action.SwapBuffers _ -> stack.swapBuffers();
            case Action.Commit(long ticket) -> commit(ticket);
            case Action.DropBuffers _ -> lead(false);
            case Action.Exit(Optional<String> reason) -> end(reason);
            case Action.Changed changed -> changed(changed);
            case Action.Ready _ -> LOG.debug("the guest's export is served");
            default -> throw new IllegalStateException("no action of this side: " + action);
        }
    }

    /// Makes a promoted side of this one, unless it is: the guest is served by a pair device that
    /// has no peer yet.
    ///
    /// @param toCheckpoint whether what the buffers hold is kept
    void lead(boolean toCheckpoint) {
        if (leader != null) {
            return;
        }
        droppedBytes = toCheckpoint ? stack.hiddenBytes() : 0;
        Leader leading = leaderOver(stack.promote(toCheckpoint));
        leading.installed(actor.node());
        leader = leading;
        if (!toCheckpoint) {
            stack.serve(leading.pair());
        }
    }

    @Override
    public void close() {
        actor.close();
        Leader leading = leader;
        if (leading != null) {
            leading.close();
        }
        fenceNow();
        server.closeNow();
        stack.close();
    }

    private Leader leaderOver(Gate below) {
        return new Leader(
                below,
                _ -> stack.guest(),
                null,
                PrimaryOptions.IO_TIMEOUT_DEFAULT,
                actor::post,
                new QuorumReports(monitor, name));
    }

    private void fenceNow() {
        if (target.close() != null) {
            Gate _ = stack.closeTarget("this side has stopped");
        }
    }

    private void fence(long ticket) {
        Export gone = target.close();
        Gate edge = stack.closeTarget("this session is over");
        actor.begin(
                ticket,
                Culprit.LOCAL,
                () -> {
                    if (gone != null) {
                        server.closeConnections(gone);
                    }
                    stack.fence(edge);
                });
    }

    /// From here on every request of the guest is answered by the promoted side: it waits at its
    /// shut gate until those before it are over.
    private void commit(long ticket) {
        Leader before = leader;
        if (before == null) {
            stack.shutGuest();
            lead(true);
        }
        Leader leading = leader;
        actor.begin(
                ticket,
                Culprit.LOCAL,
                () -> {
                    if (before == null && leading != null) {
                        stack.serve(leading.pair());
                    }
                    stack.commit();
                });
    }

    private void changed(Action.Changed changed) {
        boolean ends = changed.from() == State.RUNNING || changed.from() == State.SYNCING;
        boolean promoted = changed.to() == State.FAILING_OVER;
        if (promoted || (ends && changed.to() != State.RUNNING && changed.to() != State.SYNCING)) {
            monitor.coloExit(Role.SECONDARY, promoted ? ExitReason.REQUEST : ExitReason.ERROR);
        }
    }
}
