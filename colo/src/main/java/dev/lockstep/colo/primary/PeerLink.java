package dev.lockstep.colo.primary;

import com.fasterxml.jackson.databind.JsonNode;

import dev.lockstep.colo.LinkProtocol;
import dev.lockstep.colo.machine.Message;
import dev.lockstep.qmp.QmpClient;
import dev.lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.locks.ReentrantLock;

/// Asks the secondary over its monitor. It connects when it has something to ask, and keeps that
/// connection.
final class PeerLink implements AutoCloseable {
    /// Long enough for a lost SYN to be sent again; the machine asks again anyway.
    private static final Duration CONNECT_PATIENCE = Duration.ofSeconds(2);

    private final Peer peer;
    private final Duration answerPatience;
    private final LinkProtocol.Common ours;

    /// Guards: client and closed.
    private final ReentrantLock lock = new ReentrantLock();

    private @Nullable QmpClient client;
    private boolean closed;

    /// @param sizeBytes the length of our disk, which the secondary's must have too
    PeerLink(Peer peer, Duration answerPatience, long sizeBytes) {
        this.peer = peer;
        this.answerPatience = answerPatience;
        this.ours = new LinkProtocol.Common(peer.target().export(), sizeBytes);
    }

    /// Asks, and waits for the reply. Before anyone is asked to join, which changes what is stored,
    /// it is made sure that the secondary is the one that is meant and can be written to.
    ///
    /// @throws QmpException if it is refused
    /// @throws IOException if the secondary was not reached, or its answer was lost
    Message.Reply ask(Message.Request request) throws IOException, InterruptedException {
        LinkProtocol.Command command = LinkProtocol.encode(request);
        JsonNode value = client().execute(command.name(), command.arguments(), answerPatience);
        if (request instanceof Message.Query) {
            requireSame(LinkProtocol.common(value));
            peer.requireTarget(CONNECT_PATIENCE);
        }
        return LinkProtocol.decodeReply(request, value);
    }

    @Override
    public void close() {
        lock.lock();
        try {
            closed = true;
            if (client != null) {
                client.close();
            }
        } finally {
            lock.unlock();
        }
    }

    private QmpClient client() throws IOException, InterruptedException {
        lock.lock();
        try {
            if (closed) {
                throw new IOException("the link to " + peer.monitor() + " was given up");
            }
            QmpClient current = client;
            if (current == null || !current.isOpen()) {
                current = peer.connect(CONNECT_PATIENCE, new QmpClient.Listener() {});
                client = current;
            }
            return current;
        } catch (IOException e) {
            throw new IOException(
                    "the secondary's monitor is out of reach: %s; start the secondary first, or correct the address"
                            .formatted(e.getMessage()),
                    e);
        } finally {
            lock.unlock();
        }
    }

    private void requireSame(LinkProtocol.Common other) throws QmpException {
        if (!other.name().equals(ours.name())) {
            throw new QmpException(
                    "the secondary at %s is of the pair '%s', not of '%s': both sides need the same --name"
                            .formatted(peer.monitor(), other.name(), ours.name()));
        }
        if (other.sizeBytes() != ours.sizeBytes()) {
            throw new QmpException(
                    "the disks differ in size: %d bytes here, %d on the secondary at %s"
                            .formatted(ours.sizeBytes(), other.sizeBytes(), peer.monitor()));
        }
    }
}
