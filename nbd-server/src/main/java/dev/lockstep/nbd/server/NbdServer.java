package dev.lockstep.nbd.server;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdUri;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.channels.UnresolvedAddressException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/// An NBD server: serves [Exports] on any number of addresses. All methods may be called from any
/// thread but an event loop's.
///
/// The shortest one, ready for any client of this host in a few milliseconds:
///
/// ```java
/// Export disk = new Export("disk", new MemoryDevice(1 << 20));
/// try (NbdServer server = NbdServer.serve(disk)) {
///     NbdUri uri = server.uri(disk); // nbd://127.0.0.1:40123/disk
///     assertEquals(1 << 20, RemoteDevice.open(RemoteOptions.of(uri)).size());
/// }
/// ```
///
/// One on several addresses, whose clients find less than today's protocol and the odd error:
///
/// ```java
/// Export disk = new Export("disk", "words for people", Gate.readOnly(new MemoryDevice(1 << 20)));
/// ServerOptions options = ServerOptions.DEFAULT.without(Set.of(Degradation.NO_STRUCTURED));
/// try (NbdServer server = NbdServer.start(Exports.of(disk), options)) {
///     server.listen(Address.loopback());
///     server.listen(new Address.Unix(folder.resolve("nbd.sock")));
///     InjectedFault fault = server.inject(ServerFault.parse("read@4k+4k,nth=2,error=EIO"));
///     assertEquals(0, fault.hits());
/// }
/// ```
public final class NbdServer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(NbdServer.class);

    /// Enough to tell what is wrong with a client; a hostile one does not make them grow.
    private static final int COMPLAINTS_MAX = 100;

    private final Exports exports;
    private final ServerOptions options;
    private final Transport transport;
    private final AtomicLong heldBytes = new AtomicLong();
    private final Faults faults = new Faults();
    private final Queue<String> complaints = new ConcurrentLinkedQueue<>();
    private final Set<Connection> connections = ConcurrentHashMap.newKeySet();

    /// Guards: listeners, sockets, users, wasUsed, closing. Condition: `changed` wakes those who
    /// wait for users to be none.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private final List<Listener> listeners = new ArrayList<>();
    private int sockets;
    private int users;
    private boolean wasUsed;
    private boolean closing;

    /// @param address as it is bound, with the port that was chosen
    /// @param own whether the file of a Unix socket was made here, and is removed here
    private record Listener(Address address, Channel channel, boolean own) {}

    private NbdServer(Exports exports, ServerOptions options) {
        this.exports = exports;
        this.options = options;
        this.transport = new Transport(options);
    }

    /// Starts a server that listens nowhere yet.
    public static NbdServer start(Exports exports) {
        return start(exports, ServerOptions.DEFAULT);
    }

    /// Starts a server that listens nowhere yet.
    public static NbdServer start(Exports exports, ServerOptions options) {
        return new NbdServer(exports, options);
    }

    /// Starts a server that listens on a free TCP port, for this host only.
    ///
    /// @throws IOException if none is free
    public static NbdServer serve(Export... exports) throws IOException {
        NbdServer server = start(Exports.of(exports));
        try {
            server.listen(Address.loopback());
            return server;
        } catch (IOException e) {
            server.closeNow();
            throw e;
        }
    }

    /// Where clients find an export: on the first address that this server listens on.
    public NbdUri uri(Export export) {
        return new NbdUri(addresses().getFirst(), export.name());
    }

    /// Listens on one more address. A socket file that no process listens on any more is replaced.
    ///
    /// @return the address with the port that was chosen, where 0 was asked for
    /// @throws IOException if the address cannot be listened on, with a sentence that says why
    public Address listen(Address address) throws IOException {
        if (address instanceof Address.Unix(Path path)) {
            removeStale(address, path);
        }
        ChannelFuture bound =
                accepting(transport.bootstrap(address))
                        .bind(transport.socketAddress(address))
                        .awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new IOException(
                    "cannot listen on %s: %s".formatted(address, reason(bound.cause())),
                    bound.cause());
        }
        return add(actual(address, bound.channel()), bound.channel(), true);
    }

    /// Listens on a socket that listens already, which was handed to this process as a descriptor
    /// and is closed with the server. Its file, if it has one, belongs to whoever made it.
    ///
    /// @return where it listens
    /// @throws IOException if the descriptor is no socket that listens
    public Address adopt(int fd) throws IOException {
        boolean unix = InheritedSockets.isUnix(fd);
        InheritedSockets.requireListening(fd);
        InheritedSockets.makeNonBlocking(fd);
        ChannelFuture adopted =
                accepting(transport.bootstrapListening(fd, unix)).register().awaitUninterruptibly();
        if (!adopted.isSuccess()) {
            throw new IOException(
                    "cannot listen on descriptor %d: %s".formatted(fd, reason(adopted.cause())),
                    adopted.cause());
        }
        return add(InheritedSockets.address(fd, unix), adopted.channel(), false);
    }

    /// Serves one client on a socket that is connected already, which was handed to this process as
    /// a descriptor, and returns when it has gone.
    ///
    /// @throws IOException if the descriptor is no socket
    public void serve(int fd) throws IOException, InterruptedException {
        boolean unix = InheritedSockets.isUnix(fd);
        InheritedSockets.makeNonBlocking(fd);
        Channel channel = transport.connected(fd, unix);
        channel.pipeline().addLast(new Starter());
        boolean _ = socketOpened();
        channel.closeFuture().addListener(_ -> socketClosed());
        ChannelFuture _ = transport.loops().register(channel);
        channel.closeFuture().await();
    }

    /// What the system says, without the call that it says it of.
    private static String reason(Throwable cause) {
        return cause instanceof UnresolvedAddressException
                ? "the host is not known"
                : String.valueOf(cause.getMessage())
                        .replaceFirst("^[a-z]+\\(\\.\\.\\) failed with error\\(-[0-9]+\\): ", "");
    }

    private ServerBootstrap accepting(ServerBootstrap bootstrap) {
        return bootstrap.handler(new Acceptor()).childHandler(new Starter());
    }

    private Address add(Address address, Channel channel, boolean own) {
        lock.lock();
        try {
            listeners.add(new Listener(address, channel, own));
            updateAccepting();
        } finally {
            lock.unlock();
        }
        return address;
    }

    /// Where this server listens.
    public List<Address> addresses() {
        lock.lock();
        try {
            return listeners.stream().map(Listener::address).toList();
        } finally {
            lock.unlock();
        }
    }

    /// The clients of this moment, those in their handshake included.
    public List<ConnectionInfo> connections() {
        return connections.stream().map(Connection::info).toList();
    }

    /// What clients did so wrong that they were hung up on, a sentence each; the first hundred.
    public List<String> complaints() {
        return List.copyOf(complaints);
    }

    void complain(String complaint) {
        if (complaints.size() < COMPLAINTS_MAX) {
            complaints.add(complaint);
        }
    }

    /// Makes something go wrong from now on.
    public InjectedFault inject(ServerFault fault) {
        return faults.add(fault);
    }

    /// Closes every connection that uses `export` and returns when their requests are done: after
    /// that nothing of them reaches its device. If the [Exports] refuse the export by then, nobody
    /// uses it any more.
    ///
    /// Requests that the device does not finish hold this up; fail its gate first.
    public void closeConnections(Export export) throws InterruptedException {
        List<Connection> closed = new ArrayList<>();
        for (Connection connection : connections) {
            if (connection.closeIfUsing(export)) {
                closed.add(connection);
            }
        }
        for (Connection connection : closed) {
            connection.awaitEnd();
        }
    }

    /// Returns once at least one client has used an export and none does any more.
    public void awaitLastClient() throws InterruptedException {
        lock.lock();
        try {
            while (!wasUsed || users > 0) {
                changed.await();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Takes no more requests, answers those in flight, and closes. A client that does not read its
    /// last replies is given ten seconds.
    @Override
    public void close() {
        close(Connection::finish);
    }

    /// Closes every connection at once and returns when the requests in flight are done, which go
    /// unanswered.
    public void closeNow() {
        close(Connection::close);
    }

    Faults faults() {
        return faults;
    }

    AtomicLong heldBytes() {
        return heldBytes;
    }

    void negotiated(Connection connection) {
        LOG.debug("{}: uses an export", connection);
        lock.lock();
        try {
            users++;
            wasUsed = true;
        } finally {
            lock.unlock();
        }
    }

    void ended(Connection connection) {
        connections.remove(connection);
        if (connection.export() == null) {
            return;
        }
        lock.lock();
        try {
            users--;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void close(Consumer<Connection> how) {
        List<Listener> closed;
        lock.lock();
        try {
            closing = true;
            closed = List.copyOf(listeners);
            listeners.clear();
        } finally {
            lock.unlock();
        }
        for (Listener listener : closed) {
            listener.channel.close().awaitUninterruptibly();
            if (listener.own && listener.address instanceof Address.Unix(Path path)) {
                remove(path);
            }
        }
        faults.end();
        connections.forEach(how);
        try {
            for (Connection connection : connections) {
                connection.awaitEnd();
            }
        } catch (InterruptedException e) {
            connections.forEach(Connection::close);
            Thread.currentThread().interrupt();
        }
        transport.loops().shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly();
    }

    private static void remove(Path socket) {
        try {
            Files.deleteIfExists(socket);
        } catch (IOException e) {
            LOG.warn("the socket {} stays behind: {}", socket, e.toString());
        }
    }

    /// A socket file outlives a server that was killed. It is removed here rather than by the
    /// transport, which removes whatever is there.
    private static void removeStale(Address address, Path path) throws IOException {
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        if (!Files.readAttributes(path, BasicFileAttributes.class).isOther()) {
            throw new IOException(
                    "cannot listen on %s: there is a file of that name".formatted(address));
        }
        try (SocketChannel probe = address.openSocket()) {
            probe.connect(address.socketAddress());
        } catch (ConnectException _) {
            Files.deleteIfExists(path);
            return;
        } catch (IOException e) {
            throw new IOException("cannot listen on %s: %s".formatted(address, e.getMessage()), e);
        }
        throw new IOException(
                "cannot listen on %s: another program listens there".formatted(address));
    }

    private static Address actual(Address asked, Channel channel) {
        return asked instanceof Address.Tcp(String host, _)
                        && channel.localAddress() instanceof InetSocketAddress local
                ? new Address.Tcp(host, local.getPort())
                : asked;
    }

    private boolean socketOpened() {
        lock.lock();
        try {
            sockets++;
            updateAccepting();
            return !closing;
        } finally {
            lock.unlock();
        }
    }

    private void socketClosed() {
        lock.lock();
        try {
            sockets--;
            updateAccepting();
        } finally {
            lock.unlock();
        }
    }

    private void updateAccepting() {
        boolean accepting = sockets < options.maxConnections();
        listeners.forEach(listener -> listener.channel.config().setAutoRead(accepting));
    }

    /// Counts sockets as they are accepted, one at a time, and stops accepting at the limit.
    private final class Acceptor extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            Channel accepted = (Channel) message;
            accepted.closeFuture().addListener(_ -> socketClosed());
            if (socketOpened()) {
                context.fireChannelRead(message);
            } else {
                accepted.unsafe().closeForcibly();
            }
        }
    }

    /// Begins the handshake.
    private final class Starter extends ChannelInitializer<Channel> {
        @Override
        protected void initChannel(Channel channel) {
            Connection connection = new Connection(NbdServer.this, channel);
            connections.add(connection);
            channel.pipeline().addLast(new HandshakeHandler(connection, exports, options));
        }
    }
}
