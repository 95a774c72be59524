package dev.lockstep.nbd.server;

import dev.lockstep.nbd.Export;

import io.netty.channel.Channel;
import io.netty.util.concurrent.Future;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.concurrent.CountDownLatch;

import javax.net.ssl.SSLException;

/// One client from its acceptance until its socket is closed and its last request is done.
final class Connection {
    private static final Logger LOG = LoggerFactory.getLogger(Connection.class);

    /// The event that asks a connection to finish its requests in flight and close.
    enum Finish {
        /// The only one.
        INSTANCE
    }

    private final NbdServer server;
    private final Channel channel;
    private final Receiver receiver = new Receiver();
    private final CountDownLatch end = new CountDownLatch(1);

    /// Set on the event loop, in the same task that resolved its name.
    private volatile @Nullable Export export;

    Connection(NbdServer server, Channel channel) {
        this.server = server;
        this.channel = channel;
        channel.config().setRecvByteBufAllocator(receiver);
    }

    Receiver receiver() {
        return receiver;
    }

    Allowance newAllowance() {
        return new Allowance(server.heldBytes());
    }

    Faults faults() {
        return server.faults();
    }

    @Nullable Export export() {
        return export;
    }

    /// The handshake has ended in the use of an export. On the event loop.
    void uses(Export chosen) {
        export = chosen;
        server.negotiated(this);
    }

    /// Has the socket read again, or not for now. A write that failed has closed it before anybody
    /// is told: then there is nothing to read, and Netty would complain. On the event loop.
    void read(boolean on) {
        if (channel.isOpen()) {
            channel.config().setAutoRead(on);
        }
    }

    /// Hangs up because of what the peer did.
    void drop(String reason) {
        LOG.debug("{}: dropped: {}", this, reason);
        server.complain(this + ": " + reason);
        channel.close();
    }

    /// Hangs up because the peer may not come in.
    void refuse(String reason) {
        refused(reason);
        channel.close();
    }

    /// Says that the peer may not come in, which whoever set that up should hear of.
    void refused(String reason) {
        LOG.info("{}: {}", this, reason);
    }

    /// Hangs up because of a failure; a peer that just went away is not worth a word.
    void drop(Throwable cause) {
        if (cause instanceof IOException || cause.getCause() instanceof SSLException) {
            LOG.debug("{}: {}", this, cause.toString());
        } else {
            LOG.warn("{}: dropped", this, cause);
        }
        channel.close();
    }

    /// Lets what is in flight finish and be answered, then closes. From any thread.
    void finish() {
        channel.eventLoop()
                .execute(() -> channel.pipeline().fireUserEventTriggered(Finish.INSTANCE));
    }

    /// Closes now; requests in flight go unanswered. From any thread.
    void close() {
        channel.close();
    }

    /// Closes now if it uses `unwanted`. From any thread but the loop's. Since the question is put
    /// on the event loop, a handshake that is just being granted that export is caught too.
    ///
    /// @return whether it did
    boolean closeIfUsing(Export unwanted) throws InterruptedException {
        Future<Boolean> answer = channel.eventLoop().submit(() -> unwanted.equals(export));
        answer.await();
        if (!answer.isSuccess() || !answer.getNow()) {
            return false;
        }
        channel.close();
        return true;
    }

    /// The socket is closed and no request is in flight. On the event loop.
    void ended() {
        if (end.getCount() > 0) {
            end.countDown();
            server.ended(this);
        }
    }

    void awaitEnd() throws InterruptedException {
        end.await();
    }

    ConnectionInfo info() {
        Export used = export;
        return new ConnectionInfo(peer(), used == null ? "" : used.name());
    }

    @Override
    public String toString() {
        return "NBD client " + peer();
    }

    private String peer() {
        String remote = String.valueOf(channel.remoteAddress());
        return remote.isEmpty() || remote.equals("null")
                ? String.valueOf(channel.localAddress())
                : remote;
    }
}
