package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.overlay.BufferStore;
import dev.lockstep.colo.Actor;
import dev.lockstep.colo.Closing;
import dev.lockstep.colo.ColoMonitor;
import dev.lockstep.colo.LinkProtocol;
import dev.lockstep.colo.PairDisk;
import dev.lockstep.colo.PrimaryOptions;
import dev.lockstep.colo.Release;
import dev.lockstep.colo.SecondaryOptions;
import dev.lockstep.colo.Side;
import dev.lockstep.colo.Status;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.FailoverTo;
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
import dev.lockstep.colo.machine.State;
import dev.lockstep.colo.machine.Step;
import dev.lockstep.colo.primary.Leader;
import dev.lockstep.colo.primary.PairNodes;
import dev.lockstep.colo.primary.Peer;
import dev.lockstep.colo.store.StateFile;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.server.NbdServer;
import dev.lockstep.qmp.Caller;
import dev.lockstep.qmp.QmpException;
import dev.lockstep.qmp.QmpServer;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;

/// A running secondary: its disk and record, its three listeners, and the [SecondaryHands] that do
/// what the machine decides.
///
/// After a failover it is a primary, and serves on under the same guest's edge.
public final class SecondaryNode implements Side {
    private static final Logger LOG = LoggerFactory.getLogger("lockstep.colo");
    private static final String ACTIVE = "active-disk";
    private static final String HIDDEN = "hidden-disk";
    private static final String DISK = "secondary-disk";

    private final SecondaryOptions options;
    private final Closing resources;
    private final String format;
    private final long sizeBytes;
    private final QmpServer monitor;
    private final SecondaryHands hands;
    private final Actor actor;
    private final SecondaryStack stack;
    private volatile NbdUri guestExport;
    private volatile NbdUri targetExport;
    private volatile Address monitorAddress;

    private SecondaryNode(
            SecondaryOptions options,
            Closing resources,
            BlockDevice disk,
            String format,
            BufferSource buffers,
            Step first,
            Actor.RecordStore store)
            throws BlockException {
        this.options = options;
        this.format = format;
        this.resources = resources;
        this.sizeBytes = disk.size();
        this.guestExport = new NbdUri(options.export(), options.name());
        this.targetExport = new NbdUri(options.listen(), options.name());
        this.monitorAddress = options.monitor();
        this.monitor = new QmpServer(Release.qmpVersion(), InstantSource.system());
        this.hands =
                new SecondaryHands(
                        options,
                        disk,
                        buffers,
                        first,
                        store,
                        ColoMonitor.register(monitor, () -> this));
        this.actor = hands.actor();
        this.stack = hands.stack();
    }

    /// Starts a secondary, or the primary that a failover made of it.
    ///
    /// @throws IOException with one sentence if it cannot start
    public static SecondaryNode start(SecondaryOptions options) throws IOException {
        return start(options, disk -> disk, buffers -> buffers);
    }

    /// Starts one that sees its disk and its buffers through something else.
    static SecondaryNode start(
            SecondaryOptions options,
            UnaryOperator<BlockDevice> throughDisk,
            UnaryOperator<BufferStore> throughBuffers)
            throws IOException {
        Closing resources = new Closing();
        boolean started = false;
        try {
            SecondaryNode node = open(options, resources, throughDisk, throughBuffers);
            node.listen();
            started = true;
            return node;
        } finally {
            if (!started) {
                resources.close();
            }
        }
    }

    private static SecondaryNode open(
            SecondaryOptions options,
            Closing resources,
            UnaryOperator<BlockDevice> throughDisk,
            UnaryOperator<BufferStore> throughBuffers)
            throws IOException {
        // The disk first: where there is none, nothing is to be left beside it.
        PairDisk disk = resources.add(PairDisk.open(options.disk(), options.format()));
        StateFile state = resources.add(StateFile.open(options.state(), options.disk()));
        BufferSource buffers = buffers(options.buffers(), throughBuffers);
        resources.add(buffers);
        Step first = firstStep(options, state.record().map(stored -> believed(stored, buffers)));
        SecondaryNode node =
                new SecondaryNode(
                        options,
                        resources,
                        throughDisk.apply(disk.gate()),
                        disk.format(),
                        buffers,
                        first,
                        state::store);
        resources.add(node.hands);
        return node;
    }

    private static BufferSource buffers(
            SecondaryOptions.Buffers place, UnaryOperator<BufferStore> through)
            throws BlockException {
        return switch (place) {
            case SecondaryOptions.Buffers.Ram _ ->
                    BufferSource.of(through.apply(BufferStore.inMemory()));
            case SecondaryOptions.Buffers.Folder(var path) ->
                    BufferSource.of(through.apply(BufferStore.inFolder(path)));
            case SecondaryOptions.Buffers.Durable(var path) ->
                    DurableBuffers.open(new BufferFolder(path));
        };
    }

    /// A record that was left open has its checkpoint if its buffers are found. One that was closed
    /// needs none: its disk is the checkpoint.
    private static DurableRecord believed(DurableRecord stored, BufferSource buffers) {
        boolean found =
                buffers instanceof DurableBuffers kept
                        && !stored.volatileBuffers()
                        && kept.has(stored);
        if (stored.open() && !stored.volatileBuffers() && !found) {
            LOG.warn("the buffers of checkpoint {} are not there", stored.epoch());
        }
        boolean lost = stored.open() ? !found : !buffers.isDurable();
        return new DurableRecord(stored.standing(), stored.identity(), stored.open(), lost);
    }

    private static Step firstStep(SecondaryOptions options, Optional<DurableRecord> stored)
            throws IOException {
        SecureRandom random = new SecureRandom();
        Nonce incarnation = new Nonce(random.nextLong(), random.nextLong());
        Moment now = new Moment(System.nanoTime(), new Nonce(random.nextLong(), random.nextLong()));
        Settings settings =
                new Settings(
                        OnPeerLoss.CONTINUE,
                        PrimaryOptions.IO_TIMEOUT_DEFAULT.toNanos(),
                        !options.buffers().outlivesProcess());
        return switch (StartDecision.decide(stored, Role.SECONDARY, options.force())) {
            case StartDecision.Follow follow ->
                    Machine.startSecondary(
                            follow, settings, stored, options.force(), incarnation, now);
            case StartDecision.ServeOn serveOn ->
                    Machine.startPromoted(
                            serveOn, settings, stored.orElseThrow(), incarnation, now);
            case StartDecision.Refuse(String reason) -> throw new IOException(reason);
            case StartDecision.Join _ ->
                    throw new IllegalStateException("a secondary does not ask to join");
        };
    }

    private void listen() throws IOException {
        LinkProtocol.register(monitor, new Asked());
        NbdServer guests =
                NbdServer.start(
                        Exports.of(new Export(options.name(), stack.guest())),
                        options.tls().serverOptions(options.export()));
        resources.add(() -> closeGuests(guests));
        resources.add(monitor);
        actor.start();
        targetExport =
                new NbdUri(
                        hands.listen(options.listen()),
                        options.name(),
                        options.tls().uri(options.listen()));
        guestExport =
                new NbdUri(
                        guests.listen(options.export()),
                        options.name(),
                        options.tls().uri(options.export()));
        monitorAddress = monitor.listen(options.monitor(), options.tls().server(options.monitor()));
    }

    /// Whoever waits at the guest's gate by now goes unanswered: an error would be a lie.
    private void closeGuests(NbdServer guests) throws InterruptedException {
        Thread closer = Thread.ofVirtual().start(guests::closeNow);
        stack.refuseGuest("this side has stopped");
        closer.join();
    }

    @Override
    public Status status() {
        Node node = actor.node();
        Leader leader = hands.leader();
        return new Status(
                options.name(),
                node.role(),
                node.state(),
                node.record().map(DurableRecord::epoch).orElse(0L),
                node.record()
                        .map(DurableRecord::identity)
                        .map(Identity::generation)
                        .map(Nonce::toString)
                        .orElse(null),
                node.inSync(),
                node.holdsWrites(),
                stack.bufferedBytes(),
                stack.hiddenBytes(),
                leader == null || node.state() == State.FAILING_OVER
                        ? options.buffers().outlivesProcess() ? "durable" : "volatile"
                        : null,
                peer(node, leader),
                leader == null ? null : leader.progress().orElse(null),
                node.error().orElse(null),
                guestExport.format(),
                targetExport.format(),
                monitorAddress.toString());
    }

    private Status.@Nullable Peer peer(Node node, @Nullable Leader leader) {
        String address =
                leader == null
                        ? hands.primaryAddress()
                        : leader.peer().map(peer -> peer.monitor().toString()).orElse(null);
        return address == null
                ? null
                : new Status.Peer(address, node.hearsPeer(), lastHeardMs(node));
    }

    @Override
    public long checkpoint() throws IOException, InterruptedException {
        actor.order(new Order.Checkpoint());
        return actor.node().record().map(DurableRecord::epoch).orElse(0L);
    }

    @Override
    public FailoverOutcome failover(FailoverTo to, boolean force)
            throws IOException, InterruptedException {
        Long heard = lastHeardMs(actor.node());
        actor.order(new Order.Failover(to, force));
        return new FailoverOutcome(hands.droppedBytes(), heard);
    }

    @Override
    public void resync(NbdUri secondary, Address secondaryMonitor, boolean force)
            throws IOException, InterruptedException {
        Leader leader = hands.leader();
        if (leader != null && actor.node().session().isEmpty()) {
            leader.pointAt(new Peer(secondary, secondaryMonitor, options.tls()));
        }
        actor.order(new Order.Resync(force));
    }

    @Override
    public void goAlone() throws IOException, InterruptedException {
        actor.order(new Order.GoAlone());
    }

    @Override
    public List<ExportInfo> exports() {
        List<ExportInfo> exports = new ArrayList<>();
        exports.add(new ExportInfo(options.name(), guestNode(), false));
        if (hands.hasTarget()) {
            exports.add(new ExportInfo(options.name() + "-target", DISK, false));
        }
        return exports;
    }

    @Override
    public List<NodeInfo> nodes() {
        Leader leader = hands.leader();
        if (leader == null) {
            List<NodeInfo> nodes = new ArrayList<>(buffers(DISK));
            nodes.add(node(DISK, format, options.disk().toString(), CacheMode.WRITEBACK, null));
            return nodes;
        }
        List<NodeInfo> nodes = PairNodes.of(options.name(), leader, options.disk(), format);
        if (actor.node().state() == State.FAILING_OVER) {
            nodes.addAll(1, buffers(PairNodes.LOCAL));
        }
        return nodes;
    }

    /// What lies over the disk between checkpoints; a flush of it does nothing if it does not
    /// outlive the process.
    private List<NodeInfo> buffers(String disk) {
        String place = options.buffers().toString();
        CacheMode cache =
                options.buffers().outlivesProcess() ? CacheMode.WRITEBACK : CacheMode.UNSAFE;
        return List.of(
                node(ACTIVE, "replication", place, cache, HIDDEN),
                node(HIDDEN, "replication", place, cache, disk));
    }

    private NodeInfo node(
            String name, String driver, String file, CacheMode cache, @Nullable String backing) {
        return new NodeInfo(name, driver, file, sizeBytes, cache, backing);
    }

    private String guestNode() {
        return hands.leader() == null ? ACTIVE : options.name();
    }

    @Override
    public Pause lastPause() throws QmpException {
        Leader leader = hands.leader();
        if (leader == null) {
            throw new QmpException("this side is a secondary; ask its primary");
        }
        return leader.pauses().last();
    }

    @Override
    public NbdUri guestExport() {
        return guestExport;
    }

    /// Where the joined primary writes to, with the port that was chosen.
    public NbdUri targetExport() {
        return targetExport;
    }

    @Override
    public void quit() {
        hands.end(Optional.empty());
    }

    @Override
    public void awaitQuit() throws IOException, InterruptedException {
        Optional<String> failure = hands.awaitEnd();
        if (failure.isPresent()) {
            throw new IOException(failure.get());
        }
    }

    @Override
    public void close() throws IOException {
        try {
            if (!actor.isEnded()) {
                Optional<String> refusal = actor.ask(new Order.Quit());
                if (refusal.isPresent()) {
                    throw new IOException("it did not stop cleanly: " + refusal.get());
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            resources.close();
        }
    }

    private static @Nullable Long lastHeardMs(Node node) {
        return node.liveness().silentMillis(System.nanoTime());
    }

    /// What the primary asks, and when it is heard.
    private final class Asked implements LinkProtocol.Secondary {
        @Override
        public Message.Reply call(Message.Request request)
                throws IOException, InterruptedException {
            return actor.call(request);
        }

        @Override
        public void heard(Nonce session, Caller caller) {
            hands.heard(session, caller);
        }

        @Override
        public LinkProtocol.Common common() {
            return new LinkProtocol.Common(options.name(), sizeBytes);
        }
    }
}
