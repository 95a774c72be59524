package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.colo.LinkProtocol;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Message;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Standing;
import dev.lockstep.colo.machine.SyncMode;
import dev.lockstep.colo.machine.Timing;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteOptions;
import dev.lockstep.qmp.QmpClient;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;

/// A primary without a disk or a mind: it says what the test tells it to, over the real monitor and
/// the real target. It ticks as long as it is alive.
final class BarePrimary implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private final Address monitor;
    private final NbdUri target;
    private final Random random;
    private final QmpClient link;
    private Optional<DurableRecord> record = Optional.empty();
    private Nonce session = new Nonce(0, 0);
    private Gate remote = new Gate(new MemoryDevice(0));
    private volatile boolean beating;
    private Thread heart = Thread.ofVirtual().unstarted(() -> {});

    BarePrimary(SecondaryNode node, Address monitor, long seed) throws Exception {
        this.monitor = monitor;
        this.target = node.targetExport();
        this.random = new Random(seed);
        this.link = QmpClient.connect(monitor, PATIENCE, new QmpClient.Listener() {});
    }

    Nonce session() {
        return session;
    }

    Optional<DurableRecord> record() {
        return record;
    }

    long epoch() {
        return record.orElseThrow().epoch();
    }

    Message.Reply ask(Message.Request request) throws IOException, InterruptedException {
        LinkProtocol.Command command = LinkProtocol.encode(request);
        return LinkProtocol.decodeReply(
                request, link.execute(command.name(), command.arguments(), PATIENCE));
    }

    /// Joins with a generation of its own, as a primary does that does not resume.
    void join(SyncMode sync, boolean force) throws Exception {
        Message.Known known = (Message.Known) ask(new Message.Query());
        long epoch =
                1
                        + Math.max(
                                record.map(DurableRecord::epoch).orElse(0L),
                                known.record().map(DurableRecord::epoch).orElse(0L));
        Identity identity =
                sync == SyncMode.UNSPECIFIED
                        ? record.orElseThrow().identity()
                        : record.map(mine -> mine.identity().branch(nonce()))
                                .orElseGet(() -> Identity.first(nonce()));
        join(known.incarnation(), sync, force, identity.at(epoch));
    }

    private void join(Nonce incarnation, SyncMode sync, boolean force, Identity identity)
            throws Exception {
        session = nonce();
        ask(new Message.Join(session, incarnation, record, sync, force, identity));
        record = Optional.of(new DurableRecord(Standing.PAIRED, identity, true, false));
        remote = attach(session);
        beat();
    }

    Gate attach(Nonce asked) throws BlockException {
        return new Gate(
                RemoteDevice.open(
                        RemoteOptions.of(
                                new NbdUri(target.address(), target.export() + "/" + asked))));
    }

    Gate remote() {
        return remote;
    }

    void write(int value, long offset, int length) throws BlockException {
        remote.write(offset, filled(value, length), WriteFlag.NONE);
    }

    static ByteBuffer filled(int value, int length) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) value);
        return ByteBuffer.wrap(bytes);
    }

    void checkpoint() throws Exception {
        remote.flush();
        ask(next());
        record = record.map(mine -> mine.at(mine.epoch() + 1));
    }

    Message.Checkpoint next() {
        return new Message.Checkpoint(
                session, record.orElseThrow().identity().generation(), epoch() + 1);
    }

    void leave() throws Exception {
        remote.flush();
        ask(new Message.Leave(session, record.orElseThrow().identity().generation(), epoch() + 1));
        record = record.map(mine -> mine.at(mine.epoch() + 1).closed());
    }

    /// Goes on alone, and says so.
    void tellStale() throws Exception {
        record = record.map(mine -> mine.of(mine.identity().branch(nonce())));
        ask(new Message.PeerStale(record.orElseThrow().identity()));
    }

    /// Goes on from this record, as after a restart.
    void remember(DurableRecord known) {
        record = Optional.of(known);
    }

    /// Falls silent, and goes on writing.
    void stopBeating() {
        beating = false;
        LockSupport.unpark(heart);
    }

    /// Is no more, as a process that was killed.
    void die() {
        stopBeating();
        if (remote.device() instanceof RemoteDevice device) {
            device.close();
        }
    }

    Nonce nonce() {
        return new Nonce(random.nextLong(), random.nextLong());
    }

    @Override
    public void close() {
        die();
        link.close();
    }

    private void beat() {
        Nonce of = session;
        beating = true;
        heart =
                Thread.ofPlatform()
                        .daemon()
                        .start(
                                () -> {
                                    try (QmpClient client =
                                            QmpClient.connect(
                                                    monitor,
                                                    PATIENCE,
                                                    new QmpClient.Listener() {})) {
                                        while (beating) {
                                            client.execute(
                                                    LinkProtocol.TICK,
                                                    LinkProtocol.tick(of),
                                                    PATIENCE);
                                            LockSupport.parkNanos(Timing.TICK_NANOS);
                                        }
                                    } catch (IOException e) {
                                        beating = false;
                                    } catch (InterruptedException e) {
                                        Thread.currentThread().interrupt();
                                    }
                                });
    }
}
