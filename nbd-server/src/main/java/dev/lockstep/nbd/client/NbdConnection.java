package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Pending;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

import java.io.EOFException;
import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.channels.UnresolvedAddressException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/// One connection to an export, in transmission: requests go out, replies come in, in any order.
///
/// A strict connection refuses to send what the server did not offer. One that is not strict sends
/// anything, which is how servers are tested. It knows no time; [RemoteDevice] watches deadlines.
public final class NbdConnection implements AutoCloseable {
    private final RemoteOptions options;
    private final boolean strict;
    private final SocketChannel channel;
    private final Consumer<BlockException> onLoss;
    private final RemoteExport export;
    private final InFlight inFlight;
    private final Outgoing outgoing;
    private final Thread reader;
    private final AtomicReference<@Nullable BlockException> failure = new AtomicReference<>();
    private volatile int tick;

    private NbdConnection(
            RemoteOptions options,
            boolean strict,
            SocketChannel channel,
            Input input,
            RemoteExport export,
            Consumer<BlockException> onLoss) {
        this.options = options;
        this.strict = strict;
        this.channel = channel;
        this.onLoss = onLoss;
        this.export = export;
        this.inFlight = new InFlight(options.maxInFlight());
        this.outgoing = new Outgoing(this, channel);
        Incoming incoming = new Incoming(inFlight, input, export);
        this.reader =
                Thread.ofPlatform()
                        .daemon()
                        .name("nbd-client " + description())
                        .unstarted(() -> readUntilTheEnd(incoming));
    }

    /// Connects and negotiates; `options.connections()` and `requestDeadline()` are not used.
    ///
    /// @param onLoss hears once, on any thread, why the connection ended, unless it was closed or
    ///     aborted; it must not block
    /// @throws BlockException if that fails or takes longer than the deadline
    public static NbdConnection connect(RemoteOptions options, Consumer<BlockException> onLoss)
            throws BlockException {
        return connect(options, true, onLoss);
    }

    /// The same without validation: [#start] sends whatever it is given.
    public static NbdConnection connectLenient(
            RemoteOptions options, Consumer<BlockException> onLoss) throws BlockException {
        return connect(options, false, onLoss);
    }

    private static NbdConnection connect(
            RemoteOptions options, boolean strict, Consumer<BlockException> onLoss)
            throws BlockException {
        SocketChannel channel;
        try {
            channel = options.address().openSocket();
        } catch (IOException e) {
            throw cannotConnect(options, Kind.GONE, e);
        }
        CountDownLatch finished = new CountDownLatch(1);
        AtomicReference<@Nullable Duration> expired = new AtomicReference<>();
        Thread.startVirtualThread(
                () -> closeUnless(finished, options.connectDeadline(), channel, expired));
        try {
            NbdConnection connection = negotiate(options, strict, channel, onLoss);
            connection.reader.start();
            return connection;
        } catch (IOException | RuntimeException e) {
            closeQuietly(channel);
            if (expired.get() != null) {
                throw new BlockException(
                        Kind.TIMEOUT,
                        "%s: no connection within %s ms"
                                .formatted(options.uri(), options.connectDeadline().toMillis()),
                        e);
            }
            throw cannotConnect(options, e instanceof BlockException b ? b.kind() : Kind.GONE, e);
        } finally {
            finished.countDown();
        }
    }

    private static NbdConnection negotiate(
            RemoteOptions options,
            boolean strict,
            SocketChannel channel,
            Consumer<BlockException> onLoss)
            throws IOException {
        channel.connect(options.address().socketAddress());
        if (options.address() instanceof Address.Tcp) {
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
        }
        Input input = new Input(channel);
        RemoteExport export = new Handshake(input, channel, options.export()).run();
        return new NbdConnection(options, strict, channel, input, export, onLoss);
    }

    private static void closeUnless(
            CountDownLatch finished,
            Duration deadline,
            SocketChannel channel,
            AtomicReference<@Nullable Duration> expired) {
        try {
            if (!finished.await(deadline.toNanos(), TimeUnit.NANOSECONDS)) {
                expired.set(deadline);
                closeQuietly(channel);
            }
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    private static BlockException cannotConnect(RemoteOptions options, Kind kind, Exception why) {
        String reason =
                why instanceof UnresolvedAddressException ? "its host is not known" : words(why);
        return new BlockException(kind, "%s: %s".formatted(options.uri(), reason), why);
    }

    private static String words(Exception why) {
        return why.getMessage() == null ? why.toString() : why.getMessage();
    }

    /// What the server said about the export.
    public RemoteExport export() {
        return export;
    }

    /// Requests without a reply.
    public int inFlight() {
        return inFlight.count();
    }

    String description() {
        return options.uri().format();
    }

    /// Sends a request; waits while [RemoteOptions#maxInFlight] are unanswered. Calling it again
    /// before the first is answered sends both.
    ///
    /// @param command one of `NbdProtocol.CMD_*`
    /// @param flags `NbdProtocol.CMD_FLAG_*`
    /// @param length in bytes; for READ and WRITE what remains in `payload`
    /// @param payload the bytes to write or the room to read into, else null. Its position is not
    ///     moved, and it is the request's until the request has settled.
    public Pending start(
            int command, int flags, long offset, long length, @Nullable ByteBuffer payload) {
        return startRequest(command, flags, offset, length, payload);
    }

    /// Sends bytes that are no request, between requests; settled when they are written. Only a
    /// lenient connection does that.
    public Pending sendRaw(ByteBuffer bytes) {
        return startRequest(Request.RAW, 0, 0, bytes.remaining(), bytes);
    }

    /// Succeeds if the connection works and sends nothing.
    Pending startNothing() {
        return sendRaw(ByteBuffer.allocate(0));
    }

    /// Asks what a range is made of; the answer may stop short of the end.
    public List<Extent> blockStatus(long offset, long length) throws BlockException {
        Request request = startRequest(NbdProtocol.CMD_BLOCK_STATUS, 0, offset, length, null);
        request.await();
        return request.extents;
    }

    private Request startRequest(
            int command, int flags, long offset, long length, @Nullable ByteBuffer payload) {
        ByteBuffer bytes = payload == null ? null : payload.duplicate();
        Request request = new Request(this, command, flags, offset, (int) length, bytes);
        String refusal = strict ? export.refusal(command, flags, offset, length) : null;
        if (refusal != null) {
            request.fail(Kind.INVALID, refusal, null);
            return request;
        }
        request.bornTick = tick;
        inFlight.add(request);
        BlockException lost = failure.get();
        if (lost == null) {
            outgoing.send(request, inFlight.count() == 1);
        } else {
            failAsLost(request, lost);
        }
        return request;
    }

    void retire(Request request) {
        inFlight.remove(request);
    }

    private void readUntilTheEnd(Incoming incoming) {
        try {
            while (true) {
                incoming.readReply();
            }
        } catch (IOException | RuntimeException e) {
            lose(e);
        }
    }

    /// Called by whoever notices that the connection has ended.
    void lose(Exception cause) {
        String why =
                cause instanceof ProtocolException || cause instanceof EOFException
                        ? words(cause)
                        : "the connection was lost: " + words(cause);
        BlockException loss =
                new BlockException(Kind.GONE, "%s: %s".formatted(description(), why), cause);
        if (end(loss)) {
            onLoss.accept(loss);
        }
    }

    /// Fails everything in flight and everything that follows, without telling the listener.
    public void abort(BlockException cause) {
        end(cause);
    }

    /// The socket is closed first: that ends whatever read or write holds a buffer.
    private boolean end(BlockException cause) {
        if (!failure.compareAndSet(null, cause)) {
            return false;
        }
        closeQuietly(channel);
        inFlight.forEach(request -> failAsLost(request, cause));
        return true;
    }

    private void failAsLost(Request request, BlockException cause) {
        String why = String.valueOf(cause.getMessage());
        String prefix = description() + ": ";
        request.fail(
                Kind.GONE, why.startsWith(prefix) ? why.substring(prefix.length()) : why, cause);
    }

    /// Lets one unit of the watchdog's time pass, and gives the connection up if a request is older
    /// than `ticksMax`: that request fails with TIMEOUT, the others with GONE.
    void tick(int ticksMax) {
        int now = tick + 1;
        tick = now;
        boolean[] late = new boolean[1];
        inFlight.forEach(
                request -> {
                    if (now - request.bornTick > ticksMax) {
                        late[0] = true;
                        request.fail(Kind.TIMEOUT, "no reply within " + deadline(), null);
                    }
                });
        if (late[0]) {
            lose(new IOException("a request had no reply within " + deadline()));
        }
    }

    private String deadline() {
        return options.requestDeadline().toMillis() + " ms";
    }

    /// Says goodbye and closes the socket. Nothing is in flight.
    @Override
    public void close() {
        if (failure.get() == null) {
            Request goodbye = startRequest(NbdProtocol.CMD_DISC, 0, 0, 0, null);
            try {
                goodbye.await();
            } catch (BlockException _) {
                // It was lost meanwhile, which is as good.
            }
        }
        end(new BlockException(Kind.GONE, "it was closed"));
    }

    private static void closeQuietly(SocketChannel channel) {
        try {
            channel.close();
        } catch (IOException _) {
            // It is given up either way.
        }
    }
}
