package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Pending;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

import java.io.EOFException;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.Channel;
import java.nio.channels.ClosedChannelException;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/// One connection to an export, in transmission: requests go out, replies come in, in any order.
///
/// A strict connection refuses to send what the server did not offer. One that is not strict sends
/// anything, which is how servers are tested. It knows no time; [RemoteDevice] watches deadlines.
public final class NbdConnection implements AutoCloseable {
    private final RemoteOptions options;
    private final boolean strict;
    private final Link link;
    private final Consumer<BlockException> onLoss;
    private final RemoteExport export;
    private final InFlight inFlight;
    private final Outgoing outgoing;
    private final Replies replies;
    private final AtomicReference<@Nullable BlockException> failure = new AtomicReference<>();
    private volatile int tick;

    private NbdConnection(
            RemoteOptions options,
            boolean strict,
            Dialogue dialogue,
            RemoteExport export,
            Consumer<BlockException> onLoss) {
        this.options = options;
        this.strict = strict;
        this.link = dialogue.link();
        this.onLoss = onLoss;
        this.export = export;
        this.inFlight = new InFlight(options.maxInFlight());
        this.outgoing = new Outgoing(this, link, export.headers());
        Incoming incoming = new Incoming(inFlight, dialogue.input(), export);
        this.replies = new Replies(this, incoming, inFlight, options.waitersRead());
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
        NbdConnection connection =
                Connecting.within(
                        options,
                        dialogue -> {
                            RemoteExport export = Handshake.enter(dialogue, options);
                            return new NbdConnection(options, strict, dialogue, export, onLoss);
                        });
        connection.replies.start();
        return connection;
    }

    /// A connection whose handshake is done.
    static NbdConnection over(RemoteOptions options, Dialogue dialogue, RemoteExport export) {
        NbdConnection connection = new NbdConnection(options, true, dialogue, export, _ -> {});
        connection.replies.start();
        return connection;
    }

    /// What the server said about the export.
    public RemoteExport export() {
        return export;
    }

    /// Requests without a reply.
    public int inFlight() {
        return inFlight.count();
    }

    /// Whether what passes is encrypted.
    public boolean isEncrypted() {
        return link.isEncrypted();
    }

    /// Whether the connection has ended.
    boolean isLost() {
        return failure.get() != null;
    }

    /// Why the connection has ended, or null while it works.
    @Nullable BlockException loss() {
        return failure.get();
    }

    /// Whether it was the server, or the network, that ended the connection, and not we.
    boolean wasEndedByServer() {
        BlockException loss = failure.get();
        return loss != null
                && loss.getCause() instanceof IOException cause
                && !(cause instanceof ProtocolException
                        || cause instanceof BlockException
                        || cause instanceof ClosedChannelException
                        || cause instanceof SocketTimeoutException);
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
    Request startNothing() {
        return startRequest(Request.RAW, 0, 0, 0, ByteBuffer.allocate(0));
    }

    /// Asks what a metadata context says about a range; the answer may stop short of the end.
    ///
    /// @param context the name of one that was agreed on
    public List<StatusExtent> status(String context, long offset, long length)
            throws BlockException {
        checkContext(context);
        Request request = startStatus(context, offset, length);
        request.await();
        return request.said(context);
    }

    void checkContext(String context) throws BlockException {
        if (export.contextId(context) == null) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "%s: the server does not tell '%s'".formatted(description(), context));
        }
    }

    /// Begins a [#status] of a context that was agreed on.
    Request startStatus(String context, long offset, long length) {
        Integer id = export.contextId(context);
        if (id == null
                || export.contexts().size() == 1
                || !export.has(NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD)) {
            return startRequest(NbdProtocol.CMD_BLOCK_STATUS, 0, offset, length, null);
        }
        return startRequest(
                NbdProtocol.CMD_BLOCK_STATUS,
                NbdProtocol.CMD_FLAG_PAYLOAD_LEN,
                offset,
                length,
                ByteBuffer.allocate(8 + 4).putLong(length).putInt(id).flip());
    }

    Request startRequest(
            int command, int flags, long offset, long length, @Nullable ByteBuffer payload) {
        String refusal = strict ? export.refusal(command, flags, offset, length) : null;
        Request request = newRequest(command, flags, offset, length, payload);
        if (refusal != null) {
            request.fail(Kind.INVALID, refusal, null);
            return request;
        }
        inFlight.add(request);
        send(request);
        return request;
    }

    /// Sends what has a slot, by which it is also failed if the connection ends.
    private void send(Request request) {
        BlockException lost = failure.get();
        if (lost == null) {
            outgoing.send(request, inFlight.count() == 1);
        } else {
            failAsLost(request, lost);
        }
    }

    private Request newRequest(
            int command, int flags, long offset, long length, @Nullable ByteBuffer payload) {
        boolean announced =
                strict
                        && command == NbdProtocol.CMD_WRITE
                        && export.headers() == HeaderStyle.EXTENDED;
        Request request =
                new Request(
                        this,
                        tick,
                        command,
                        announced ? flags | NbdProtocol.CMD_FLAG_PAYLOAD_LEN : flags,
                        offset,
                        length,
                        payload == null ? null : payload.duplicate());
        if (command == NbdProtocol.CMD_BLOCK_STATUS) {
            boolean filtered = (flags & NbdProtocol.CMD_FLAG_PAYLOAD_LEN) != 0;
            request.contextsAsked = filtered ? 1 : Math.max(1, export.contexts().size());
        }
        return request;
    }

    void retire(Request request) {
        inFlight.remove(request);
    }

    Replies replies() {
        return replies;
    }

    /// Called by whoever notices that the connection has ended.
    void lose(Exception cause) {
        String why =
                cause instanceof ProtocolException || cause instanceof EOFException
                        ? Connecting.words(cause)
                        : "the connection was lost: " + Connecting.words(cause);
        BlockException loss =
                new BlockException(Kind.GONE, "%s: %s".formatted(description(), why), cause);
        if (cause instanceof ServerShutdown) {
            sayGoodbye();
        }
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
        closeQuietly(link);
        inFlight.forEach(request -> failAsLost(request, cause));
        replies.end();
        return true;
    }

    private void failAsLost(Request request, BlockException cause) {
        String why = String.valueOf(cause.getMessage());
        String prefix = description() + ": ";
        request.lose(
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
                    if (now - request.bornTick > ticksMax * request.patience()) {
                        late[0] = true;
                        request.lose(Kind.TIMEOUT, "no reply within " + deadline(), null);
                    }
                });
        if (late[0]) {
            lose(new SocketTimeoutException("a request had no reply within " + deadline()));
        }
    }

    private String deadline() {
        return options.requestDeadline().toMillis() + " ms";
    }

    /// Tells the server, unless it leaves so much unanswered that there is no slot for it.
    private void sayGoodbye() {
        Request goodbye = newRequest(NbdProtocol.CMD_DISC, 0, 0, 0, null);
        if (!inFlight.tryAdd(goodbye)) {
            return;
        }
        send(goodbye);
        try {
            goodbye.await();
            link.sayClosed();
        } catch (BlockException _) {
            // It was lost meanwhile, which is as good.
        }
    }

    /// Says goodbye and closes the socket. Nothing is in flight.
    @Override
    public void close() {
        if (failure.get() == null) {
            sayGoodbye();
        }
        end(new BlockException(Kind.GONE, "it was closed"));
    }

    static void closeQuietly(Channel channel) {
        try {
            channel.close();
        } catch (IOException _) {
            // It is given up either way.
        }
    }
}
