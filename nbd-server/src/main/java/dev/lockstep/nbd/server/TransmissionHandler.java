package dev.lockstep.nbd.server;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.NbdErrors;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Negotiation.Transmission;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.handler.ssl.SslCloseCompletionEvent;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.TimeUnit;

/// The transmission phase of one connection: decodes requests, answers at once what can be done
/// without waiting, hands the rest to virtual threads, and keeps within the allowance.
///
/// Everything here runs on the connection's event loop, but for [#completed].
final class TransmissionHandler extends ChannelInboundHandlerAdapter
        implements Receiver.Source, Outbox.Releases, Request.Owner, Turns.Player {
    /// Reads of the socket in one tick, which matters only while a large payload arrives.
    private static final int READS_PER_TICK = 8;

    /// How long a client that has ended may take to read its last replies.
    private static final int FAREWELL_SECONDS = 10;

    private enum Phase {
        /// Requests are taken.
        OPEN,
        /// The server closes: further requests are refused; those in flight are answered.
        LEAVING,
        /// No more requests are taken; those in flight are answered.
        FINISHING,
        /// The last replies are on their way, then the socket is closed.
        FAREWELL,
        /// The socket is closed; requests may still be in flight.
        CLOSED
    }

    private final Connection connection;
    private final Channel channel;
    private final Gate gate;
    private final int blockBytes;
    private final Replies replies;
    private final Input input;
    private final Outbox outbox;
    private final Allowance allowance;
    private final InlineIo inline;
    private final Faults faults;
    private final Turns turns;

    private final RequestRules rules;
    private final RequestDecoder decoder;

    /// The request at hand, as long as `decoding`: it was taken from the input and waits for its
    /// turn, for its payload or for the allowance.
    private final RequestHeader header;

    private boolean decoding;

    /// What goes wrong with the request at hand.
    private Faults.@Nullable Verdict verdict;

    private final Finished finished = new Finished();
    private final Runnable drain = this::drain;

    private Phase phase = Phase.OPEN;

    /// The write whose payload is being read into its own buffer.
    private @Nullable Request incoming;

    /// Requests on virtual threads.
    private int inFlight;

    /// Nothing is decoded until [#play].
    private boolean waiting;

    /// Its next turn will come.
    private boolean queued;

    private boolean inputEnded;
    private boolean expectLargePayload;
    private int reads;

    TransmissionHandler(Connection connection, Channel channel, Transmission agreed) {
        this.connection = connection;
        this.channel = channel;
        this.gate = agreed.export().root();
        this.blockBytes = agreed.export().minimumBlockSize();
        this.replies = new Replies(agreed.style());
        LoopBuffers buffers = LoopBuffers.current();
        this.input = new Input(channel, buffers);
        this.outbox = new Outbox(channel, buffers, replies, this);
        this.inline = new InlineIo(gate, replies, input, outbox, buffers, this);
        this.turns = buffers.turns;
        this.rules = new RequestRules(agreed);
        this.decoder = new RequestDecoder(rules, outbox);
        this.header = decoder.header;
        this.allowance = connection.newAllowance();
        this.faults = connection.faults();
    }

    @Override
    public ByteBuf nextInput() {
        reads++;
        Request request = incoming;
        if (request != null) {
            return request.payload().retain();
        }
        return input.next(expectLargePayload);
    }

    @Override
    public boolean wantsMore() {
        return isReading() && !waiting && reads < READS_PER_TICK;
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        ByteBuf bytes = (ByteBuf) message;
        try {
            Request request = incoming;
            if (request != null && Input.isSame(request.payload(), bytes)) {
                payloadGrew(request);
            } else if (isReading()) {
                decode(input.received(bytes));
            }
        } finally {
            bytes.release();
        }
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        endTick();
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
        if (event == ChannelInputShutdownEvent.INSTANCE
                || event == SslCloseCompletionEvent.SUCCESS) {
            inputEnded = true;
            if (!waiting) {
                finish();
            }
        } else if (event == Connection.Finish.INSTANCE) {
            leave();
        } else {
            context.fireUserEventTriggered(event);
        }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        phase = Phase.CLOSED;
        dropInput();
        outbox.discard();
        checkEnd();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        connection.drop(cause);
    }

    @Override
    public Gate gate() {
        return gate;
    }

    @Override
    public Replies replies() {
        return replies;
    }

    @Override
    public int blockBytes() {
        return blockBytes;
    }

    @Override
    public boolean isGone() {
        return !channel.isOpen();
    }

    /// Called on the request's thread.
    @Override
    public void completed(Request request) {
        if (finished.push(request)) {
            channel.eventLoop().execute(drain);
        }
    }

    @Override
    public void hold(long cost) {
        allowance.hold(cost);
    }

    @Override
    public void released(long cost) {
        allowance.release(cost);
        if (waiting) {
            awaitTurn();
        }
    }

    @Override
    public void play() {
        queued = false;
        if (!isReading()) {
            return;
        }
        waiting = false;
        ByteBuf left = input.kept();
        decode(left == null ? Unpooled.EMPTY_BUFFER : left);
        endTick();
        if (isReading() && !waiting) {
            connection.read(true);
            if (inputEnded) {
                finish();
            }
        }
    }

    private void decode(ByteBuf bytes) {
        boolean going = true;
        while (going && isReading() && !waiting) {
            if (outbox.isBackedUp()) {
                waitForAllowance();
            } else {
                going = advance(bytes);
            }
        }
        if (isReading()) {
            input.keep(bytes);
        }
    }

    /// Takes one step.
    ///
    /// @return false if that needs more bytes, or leave to go on
    private boolean advance(ByteBuf bytes) {
        Request request = incoming;
        if (request != null) {
            ByteBuf payload = request.payload();
            payload.writeBytes(bytes, Math.min(payload.writableBytes(), bytes.readableBytes()));
            payloadGrew(request);
            return incoming == null;
        }
        return decoding ? accept(bytes) : take(bytes);
    }

    private boolean take(ByteBuf bytes) {
        switch (decoder.next(bytes)) {
            case LACKS_BYTES -> {
                return false;
            }
            case REFUSED -> {
                return true;
            }
            case GARBAGE -> {
                connection.drop(decoder.garbage());
                return false;
            }
            case TAKEN -> {
                if (phase == Phase.LEAVING && header.type != NbdProtocol.CMD_DISC) {
                    return refuse(
                            bytes, NbdProtocol.ESHUTDOWN, "the server closes", Replies.NOWHERE);
                }
            }
        }
        decoding = true;
        verdict = faults.judge(header);
        expectLargePayload = inline.spares(header);
        return accept(bytes);
    }

    private boolean accept(ByteBuf bytes) {
        return switch (header.type) {
            case NbdProtocol.CMD_READ, NbdProtocol.CMD_WRITE -> transfer(bytes);
            case NbdProtocol.CMD_DISC -> finish();
            default -> dispatch(bytes);
        };
    }

    /// Takes the next step of a read or a write.
    private boolean transfer(ByteBuf bytes) {
        if (verdict != null) {
            return dispatch(bytes);
        }
        if (inline.isTurnSpent()) {
            waiting = true;
            awaitTurn();
            return false;
        }
        boolean reads = header.type == NbdProtocol.CMD_READ;
        try {
            return switch (reads ? inline.read(header) : inline.write(header, bytes)) {
                case DONE -> {
                    decoding = header.length > 0;
                    yield true;
                }
                case LACKS_BYTES -> false;
                case DECLINED -> dispatch(bytes);
            };
        } catch (BlockException e) {
            int error = NbdErrors.errno(e.kind(), header.type);
            return refuse(bytes, error, e.getMessage(), header.offset);
        }
    }

    private boolean refuse(ByteBuf bytes, int error, String message, long at) {
        decoding = false;
        long payloadLeft = header.type == NbdProtocol.CMD_WRITE ? header.length : 0;
        return decoder.refuse(bytes, payloadLeft, error, message, at)
                == RequestDecoder.Outcome.REFUSED;
    }

    /// Hands what is left of the request to a virtual thread, as soon as the allowance lets it.
    private boolean dispatch(ByteBuf bytes) {
        long cost = Request.cost(header, replies);
        if (!allowance.admit(cost)) {
            waitForAllowance();
            return false;
        }
        Request request = newRequest(cost);
        if (header.type != NbdProtocol.CMD_WRITE) {
            start(request);
            return true;
        }
        incoming = request;
        return advance(bytes);
    }

    private Request newRequest(long cost) {
        decoding = false;
        ByteBuf buffer = allocate(Request.bufferBytes(header, replies), cost);
        return new Request(header, decoder.contexts, cost, verdict, buffer, this);
    }

    private @Nullable ByteBuf allocate(int bytes, long cost) {
        if (bytes == 0) {
            return null;
        }
        try {
            return channel.alloc().directBuffer(bytes, bytes);
        } catch (OutOfMemoryError e) {
            allowance.release(cost);
            throw e; // costs this client its connection, and nobody else anything
        }
    }

    private void payloadGrew(Request request) {
        if (!request.lacksPayload()) {
            incoming = null;
            start(request);
        }
    }

    private void start(Request request) {
        inFlight++;
        Thread.startVirtualThread(request);
    }

    private void waitForAllowance() {
        waiting = true;
        connection.read(false);
    }

    private void awaitTurn() {
        if (!queued) {
            queued = true;
            turns.await(this, channel.eventLoop());
        }
    }

    private void endTick() {
        inline.turnEnds(!waiting && !decoding);
        reads = 0;
        outbox.flush();
        if (phase == Phase.LEAVING) {
            checkEnd();
        }
    }

    private void drain() {
        Request request = finished.takeAll();
        while (request != null) {
            Request following = request.next;
            request.next = null;
            inFlight--;
            if (request.hasResized()) {
                rules.resized(request.offset);
            }
            if (phase == Phase.CLOSED) {
                request.discard();
                allowance.release(request.cost);
            } else if (request.verdict == null) {
                request.answer(outbox);
            } else {
                answerFaultily(request, request.verdict.effect());
            }
            request = following;
        }
        outbox.flush();
        checkEnd();
    }

    private void answerFaultily(Request request, ServerFault.Effect effect) {
        switch (effect) {
            case ServerFault.Drop _ -> {
                request.discard();
                allowance.release(request.cost);
                connection.close();
            }
            case ServerFault.Cut _, ServerFault.Corrupt _ ->
                    SpoiltReply.send(channel.pipeline().context(this), outbox, request, effect);
            case ServerFault.Nothing _, ServerFault.Refuse _ -> request.answer(outbox);
        }
    }

    private boolean isReading() {
        return phase == Phase.OPEN || phase == Phase.LEAVING;
    }

    /// Refuses further requests until those that were taken are done. One whose payload does not
    /// come is given up in the end.
    private void leave() {
        if (phase == Phase.OPEN) {
            phase = Phase.LEAVING;
            channel.eventLoop().schedule(this::finish, FAREWELL_SECONDS, TimeUnit.SECONDS);
            checkEnd();
        }
    }

    /// Takes no more requests.
    ///
    /// @return false, since nothing more is to be decoded
    private boolean finish() {
        if (isReading()) {
            phase = Phase.FINISHING;
            connection.read(false);
            completeReply();
            dropInput();
            checkEnd();
        }
        return false;
    }

    /// A read of which the client has some chunks is in flight too.
    private void completeReply() {
        if (decoding && header.type == NbdProtocol.CMD_READ) {
            long cost = Request.cost(header, replies);
            allowance.hold(cost);
            start(newRequest(cost));
        }
    }

    private void dropInput() {
        input.drop();
        Request request = incoming;
        if (request != null) {
            incoming = null;
            request.discard();
            allowance.release(request.cost);
        }
    }

    private void checkEnd() {
        if (inFlight > 0) {
            return;
        }
        if (phase == Phase.LEAVING && incoming == null && !decoding) {
            finish();
        } else if (phase == Phase.FINISHING) {
            phase = Phase.FAREWELL;
            outbox.closeAfterwards();
            channel.eventLoop().schedule(() -> channel.close(), FAREWELL_SECONDS, TimeUnit.SECONDS);
        } else if (phase == Phase.CLOSED) {
            connection.ended();
        }
    }
}
