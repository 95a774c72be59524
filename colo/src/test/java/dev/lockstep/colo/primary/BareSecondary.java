package dev.lockstep.colo.primary;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.colo.Actor;
import dev.lockstep.colo.LinkProtocol;
import dev.lockstep.colo.PairTls;
import dev.lockstep.colo.machine.Action;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Event;
import dev.lockstep.colo.machine.Event.Culprit;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Machine;
import dev.lockstep.colo.machine.Message;
import dev.lockstep.colo.machine.Moment;
import dev.lockstep.colo.machine.Node;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.OnPeerLoss;
import dev.lockstep.colo.machine.Order;
import dev.lockstep.colo.machine.Role;
import dev.lockstep.colo.machine.Settings;
import dev.lockstep.colo.machine.StartDecision;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.server.NbdServer;
import dev.lockstep.qmp.Caller;
import dev.lockstep.qmp.QmpServer;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/// A secondary stripped to what a primary sees of it: the machine, the monitor and a target, over a
/// disk and a record that outlive it. It keeps no old bytes, so it can be no one's failover.
final class BareSecondary implements AutoCloseable {
    private final MemoryDevice disk;
    private final QmpServer monitor =
            new QmpServer(new QmpServer.Version(0, 1, 0), InstantSource.system());
    private final Actor actor;
    private final NbdServer server;
    private final Address target;
    private final Address monitorAddress;
    private volatile @Nullable Export export;

    /// A secondary on ports of its own.
    BareSecondary(MemoryDevice disk, AtomicReference<Optional<DurableRecord>> record)
            throws IOException {
        this(
                disk,
                record,
                new Peer(
                        NbdUri.parse("nbd://127.0.0.1:0/vm1"),
                        Address.parse("127.0.0.1:0"),
                        PairTls.NONE));
    }

    /// A secondary that listens where `at` says, as one that was started again does.
    BareSecondary(MemoryDevice disk, AtomicReference<Optional<DurableRecord>> record, Peer at)
            throws IOException {
        this.disk = disk;
        Settings settings = new Settings(OnPeerLoss.CONTINUE, TimeUnit.SECONDS.toNanos(10), true);
        StartDecision.Follow follow =
                (StartDecision.Follow) StartDecision.decide(record.get(), Role.SECONDARY, false);
        actor =
                new Actor(
                        "bare",
                        Machine.startSecondary(
                                follow, settings, record.get(), false, nonce(), now()),
                        stored -> record.set(Optional.of(stored)),
                        new Hands());
        server = NbdServer.start(new Target());
        target = server.listen(at.target().address());
        LinkProtocol.register(monitor, new Link());
        monitorAddress = monitor.listen(at.monitor());
        actor.start();
    }

    Peer address() {
        return new Peer(new NbdUri(target, "vm1"), monitorAddress, PairTls.NONE);
    }

    Node node() {
        return actor.node();
    }

    /// As `kill -9` does it.
    void kill() {
        monitor.close();
        Thread closer = Thread.ofVirtual().start(server::closeNow);
        actor.close();
        try {
            closer.join();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /// A clean stop.
    @Override
    public void close() {
        try {
            if (!actor.isEnded()) {
                Optional<String> _ = actor.ask(new Order.Quit());
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        kill();
    }

    private static Nonce nonce() {
        return new Nonce(
                ThreadLocalRandom.current().nextLong(), ThreadLocalRandom.current().nextLong());
    }

    private static Moment now() {
        return new Moment(System.nanoTime(), nonce());
    }

    private final class Target implements Exports {
        @Override
        public Answer resolve(String name) {
            Export current = export;
            return current != null && current.name().equals(name)
                    ? new Found(current)
                    : new Refused("no such session");
        }

        @Override
        public List<Export> list() {
            return List.of();
        }
    }

    private final class Link implements LinkProtocol.Secondary {
        @Override
        public Message.Reply call(Message.Request request)
                throws IOException, InterruptedException {
            return actor.call(request);
        }

        @Override
        public void heard(Nonce session, Caller caller) {
            actor.post(new Event.Heard(session));
        }

        @Override
        public LinkProtocol.Common common() {
            return new LinkProtocol.Common("vm1", disk.size());
        }
    }

    private final class Hands implements Actor.Hands {
        @Override
        public void installed(Node node) {}

        @Override
        public void carryOut(Action action) {
            switch (action) {
                case Action.Fence(long ticket) -> actor.begin(ticket, Culprit.LOCAL, this::fence);
                case Action.Drain(long ticket, Optional<Identity> _) ->
                        actor.begin(ticket, Culprit.LOCAL, () -> {});
                case Action.OpenTarget(Nonce session, boolean _) ->
                        export = new Export("vm1/" + session, new Gate(disk));
                default -> {}
            }
        }

        private void fence() throws InterruptedException {
            Export old = export;
            export = null;
            if (old != null) {
                server.closeConnections(old);
            }
        }
    }
}
