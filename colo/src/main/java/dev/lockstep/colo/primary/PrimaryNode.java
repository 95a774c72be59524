package dev.lockstep.colo.primary;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.colo.Actor;
import dev.lockstep.colo.Closing;
import dev.lockstep.colo.ColoMonitor;
import dev.lockstep.colo.ColoMonitor.ExitReason;
import dev.lockstep.colo.PairDisk;
import dev.lockstep.colo.PrimaryOptions;
import dev.lockstep.colo.Release;
import dev.lockstep.colo.Side;
import dev.lockstep.colo.Status;
import dev.lockstep.colo.machine.Action;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.FailoverTo;
import dev.lockstep.colo.machine.Machine;
import dev.lockstep.colo.machine.Moment;
import dev.lockstep.colo.machine.Node;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Order;
import dev.lockstep.colo.machine.Role;
import dev.lockstep.colo.machine.Settings;
import dev.lockstep.colo.machine.StartDecision;
import dev.lockstep.colo.machine.State;
import dev.lockstep.colo.store.StateFile;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.MetaContext;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.server.NbdServer;
import dev.lockstep.qmp.QmpException;
import dev.lockstep.qmp.QmpServer;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// A primary as it runs: the disk, the durable record, the guest's export, the monitor, and the
/// actor that runs the machine with a [Leader] as its hands.
public final class PrimaryNode implements Side {
    private static final Logger LOG = LoggerFactory.getLogger("lockstep.colo");

    private final PrimaryOptions options;
    private final String format;

    private final Closing resources = new Closing();

    private final CountDownLatch ready = new CountDownLatch(1);
    private final CountDownLatch leaving = new CountDownLatch(1);
    private final Leader leader;
    private final Actor actor;
    private final ColoMonitor monitor;
    private final Address monitorAddress;
    private final NbdUri guestExport;
    private volatile boolean goingAlone;
    private volatile boolean exiting;

    /// Starts a primary, and returns once it has joined (with a full sync, once the copy has begun)
    /// and serves its guest.
    ///
    /// @throws IOException with one sentence that says why it does not start
    public static PrimaryNode start(PrimaryOptions options)
            throws IOException, InterruptedException {
        PrimaryNode node = new PrimaryNode(options);
        boolean serving = false;
        try {
            node.awaitReady();
            serving = true;
            return node;
        } finally {
            if (!serving) {
                node.resources.close();
            }
        }
    }

    private PrimaryNode(PrimaryOptions options) throws IOException {
        this.options = options;
        boolean complete = false;
        try {
            // The disk first: where there is none, nothing is to be left beside it.
            PairDisk disk = resources.add(PairDisk.open(options.disk(), options.format()));
            format = disk.format();
            StateFile state = resources.add(StateFile.open(options.state(), options.disk()));
            Optional<DurableRecord> stored = state.record();
            if (StartDecision.decide(stored, Role.PRIMARY, options.force())
                    instanceof StartDecision.Refuse(String reason)) {
                throw new IOException(reason);
            }
            QmpServer clients =
                    resources.add(new QmpServer(Release.qmpVersion(), InstantSource.system()));
            monitor = ColoMonitor.register(clients, () -> this);
            monitorAddress =
                    clients.listen(options.monitor(), options.tls().server(options.monitor()));
            leader =
                    new Leader(
                            disk.gate(),
                            Gate::new,
                            new Peer(
                                    options.secondary(), options.secondaryMonitor(), options.tls()),
                            options.ioTimeout(),
                            event -> actor().post(event),
                            new QuorumReports(monitor, options.name()));
            resources.add(leader);
            // Until there is a decision, requests of early guests wait.
            leader.carryOut(new Action.ShutGuest());
            guestExport = serveGuest();
            SecureRandom random = new SecureRandom();
            actor =
                    new Actor(
                            options.name(),
                            Machine.startPrimary(
                                    settings(),
                                    stored,
                                    options.sync(),
                                    options.force(),
                                    nonce(random),
                                    new Moment(System.nanoTime(), nonce(random))),
                            state::store,
                            new Hands());
            resources.add(actor);
            actor.start();
            complete = true;
        } finally {
            if (!complete) {
                resources.close();
            }
        }
        options.checkpointEvery().ifPresent(this::checkpointEvery);
    }

    private Actor actor() {
        return actor;
    }

    private Settings settings() {
        return new Settings(options.onPeerLoss(), options.ioTimeout().toNanos(), true);
    }

    private static Nonce nonce(SecureRandom random) {
        return new Nonce(random.nextLong(), random.nextLong());
    }

    private NbdUri serveGuest() throws IOException {
        Gate guest = leader.guest();
        Export export =
                new Export(options.name(), guest)
                        .withContext(MetaContext.replication(leader.pair().lacking()));
        NbdServer server =
                NbdServer.start(Exports.of(export), options.tls().serverOptions(options.export()));
        resources.add(() -> closeGuest(server, guest));
        return new NbdUri(
                server.listen(options.export()),
                options.name(),
                options.tls().uri(options.export()));
    }

    /// Whoever waits at the gate by now goes unanswered: an error would be a lie.
    private static void closeGuest(NbdServer server, Gate guest) {
        Thread closer = Thread.ofVirtual().start(server::closeNow);
        guest.fail(Leader.stopped());
        boolean interrupted = false;
        while (closer.isAlive()) {
            try {
                closer.join();
            } catch (InterruptedException _) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void awaitReady() throws IOException, InterruptedException {
        ready.await();
        if (exiting) {
            throw new IOException(actor.awaitEnd().orElse("the start was broken off"));
        }
    }

    private void checkpointEvery(Duration interval) {
        Thread.ofVirtual()
                .name("colo-checkpoints")
                .start(
                        () -> {
                            try {
                                while (!leaving.await(interval.toNanos(), TimeUnit.NANOSECONDS)) {
                                    if (actor.node().state() == State.RUNNING) {
                                        actor.ask(new Order.Checkpoint())
                                                .ifPresent(
                                                        why -> LOG.warn("no checkpoint: {}", why));
                                    }
                                }
                            } catch (InterruptedException _) {
                                Thread.currentThread().interrupt();
                            }
                        });
    }

    /// Carries out what the machine decides.
    private final class Hands implements Actor.Hands {
        @Override
        public void installed(Node node) {
            leader.installed(node);
        }

        @Override
        public void carryOut(Action action) {
            if (leader.carryOut(action)) {
                return;
            }
            switch (action) {
                case Action.Ready() -> ready.countDown();
                case Action.Changed changed -> changed(changed);
                case Action.Exit _ -> {
                    exiting = true;
                    leaving.countDown();
                    ready.countDown();
                }
                default -> throw new IllegalStateException("no action of a primary: " + action);
            }
        }

        private void changed(Action.Changed changed) {
            boolean paired = changed.from() == State.RUNNING || changed.from() == State.SYNCING;
            if (paired && changed.to() != State.RUNNING && changed.to() != State.SYNCING) {
                monitor.coloExit(Role.PRIMARY, goingAlone ? ExitReason.REQUEST : ExitReason.ERROR);
                goingAlone = false;
            }
        }
    }

    @Override
    public Status status() {
        Node node = actor.node();
        Optional<DurableRecord> record = node.record();
        Long lastHeardMs = node.liveness().silentMillis(System.nanoTime());
        String peer = leader.peer().map(known -> known.monitor().toString()).orElse("");
        return new Status(
                options.name(),
                node.role(),
                node.state(),
                record.map(DurableRecord::epoch).orElse(0L),
                record.map(known -> known.identity().generation().toString()).orElse(null),
                node.inSync(),
                node.holdsWrites(),
                0,
                0,
                null,
                new Status.Peer(peer, node.hearsPeer(), lastHeardMs),
                leader.progress().orElse(null),
                node.error().orElse(null),
                guestExport.format(),
                null,
                monitorAddress.toString());
    }

    @Override
    public long checkpoint() throws IOException, InterruptedException {
        actor.order(new Order.Checkpoint());
        return actor.node().record().map(DurableRecord::epoch).orElse(0L);
    }

    @Override
    public FailoverOutcome failover(FailoverTo to, boolean force)
            throws IOException, InterruptedException {
        actor.order(new Order.Failover(to, force));
        return new FailoverOutcome(0, null);
    }

    @Override
    public void resync(NbdUri secondary, Address secondaryMonitor, boolean force)
            throws IOException, InterruptedException {
        if (actor.node().state() != State.DEGRADED) {
            // It is about to be refused, and the link is in use.
            actor.order(new Order.Resync(force));
            return;
        }
        Optional<Peer> before = leader.peer();
        leader.pointAt(new Peer(secondary, secondaryMonitor, options.tls()));
        Optional<String> refusal = actor.ask(new Order.Resync(force));
        if (refusal.isPresent()) {
            // The secondary that was lost is still the one to be told that it is stale.
            before.ifPresent(leader::pointAt);
            throw new QmpException(refusal.get());
        }
    }

    @Override
    public void goAlone() throws IOException, InterruptedException {
        goingAlone = true;
        actor.order(new Order.GoAlone());
    }

    @Override
    public List<ExportInfo> exports() {
        return List.of(new ExportInfo(options.name(), options.name(), leaving.getCount() == 0));
    }

    @Override
    public List<NodeInfo> nodes() {
        return PairNodes.of(options.name(), leader, options.disk(), format);
    }

    @Override
    public NbdUri guestExport() {
        return guestExport;
    }

    @Override
    public Pause lastPause() {
        return leader.pauses().last();
    }

    @Override
    public void quit() {
        leaving.countDown();
    }

    @Override
    public void awaitQuit() throws IOException, InterruptedException {
        leaving.await();
        if (exiting) {
            throw new IOException(actor.awaitEnd().orElse("this side ended by itself"));
        }
    }

    @Override
    public void close() throws IOException {
        leaving.countDown();
        try {
            if (!exiting) {
                actor.order(new Order.Quit());
                Optional<String> _ = actor.awaitEnd();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while stopping", e);
        } finally {
            resources.close();
        }
    }
}
