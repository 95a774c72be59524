package dev.lockstep.nbd.server;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.NbdErrors;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Negotiation.Transmission;
import dev.lockstep.nbd.server.LoopBuffers.Shared;

import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;

/// The transmission phase of one connection: decodes requests, answers at once what can be done
/// without waiting, hands the rest to virtual threads, and keeps within the allowance.
///
/// Everything here runs on the connection's event loop, but for [#completed].
final class TransmissionHandler extends ChannelInboundHandlerAdapter
        implements Receiver.Source, Outbox.Releases, Request.Completion {
    /// The largest read or write that is tried on the event loop: about 10 us of copying.
    private static final int INLINE_BYTES_MAX = 64 << 10;

    /// What one connection may do on the event loop before the others have their turn.
    private static final int INLINE_BYTES_PER_TICK = 256 << 10;

    /// Reads of the socket in one tick, which matters only while a large payload arrives.
    private static final int READS_PER_TICK = 8;

    /// How long a client that has ended may take to read its last replies.
    private static final int FAREWELL_SECONDS = 10;

    private enum Phase {
        /// Requests are taken.
        OPEN,
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
    private final long size;
    private final boolean readOnly;
    private final boolean structured;
    private final boolean allocation;
    private final Input input;
    private final Outbox outbox;
    private final Allowance allowance;
    private final RequestHeader header = new RequestHeader();
    private final Finished finished = new Finished();
    private final Runnable drain = this::drain;
    private final Runnable resume = this::resume;

    private Phase phase = Phase.OPEN;

    /// The write whose payload is being read into its own buffer.
    private @Nullable Request incoming;

    /// Payload still to be thrown away, and then the refusal to be sent.
    private long skip;

    private int skipError;

    /// Requests on virtual threads.
    private int inFlight;

    /// Nothing is decoded until [#resume].
    private boolean waiting;

    private boolean resumeScheduled;
    private boolean inputEnded;
    private boolean expectLargePayload;
    private int inlineBytes;
    private int reads;

    TransmissionHandler(Connection connection, Channel channel, Transmission agreed) {
        this.connection = connection;
        this.channel = channel;
        this.gate = agreed.export().root();
        this.size = gate.size();
        this.readOnly = agreed.export().readOnly();
        this.structured = agreed.structuredReplies();
        this.allocation = agreed.allocation();
        LoopBuffers buffers = LoopBuffers.current();
        this.input = new Input(channel, buffers);
        this.outbox = new Outbox(channel, buffers, this);
        this.allowance = connection.newAllowance();
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
        return phase == Phase.OPEN && !waiting && reads < READS_PER_TICK;
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        ByteBuf bytes = (ByteBuf) message;
        try {
            Request request = incoming;
            if (request != null && Input.isSame(request.payload(), bytes)) {
                payloadGrew(request);
            } else if (phase == Phase.OPEN) {
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
        if (event == ChannelInputShutdownEvent.INSTANCE) {
            inputEnded = true;
            if (!waiting) {
                finish();
            }
        } else if (event == Connection.Finish.INSTANCE) {
            finish();
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
            scheduleResume();
        }
    }

    private void decode(ByteBuf bytes) {
        boolean going = true;
        while (going && phase == Phase.OPEN && !waiting) {
            if (outbox.isBackedUp()) {
                waitForAllowance();
            } else {
                going = advance(bytes);
            }
        }
        if (phase == Phase.OPEN) {
            input.keep(bytes);
        }
    }

    /// Takes one step.
    ///
    /// @return false if that needs more bytes, or leave to go on
    private boolean advance(ByteBuf bytes) {
        if (skip > 0) {
            return skipPayload(bytes);
        }
        Request request = incoming;
        if (request != null) {
            ByteBuf payload = request.payload();
            payload.writeBytes(bytes, Math.min(payload.writableBytes(), bytes.readableBytes()));
            payloadGrew(request);
            return incoming == null;
        }
        if (bytes.readableBytes() < NbdProtocol.REQUEST_BYTES) {
            return false;
        }
        header.peek(bytes);
        if (header.magic != NbdProtocol.REQUEST_MAGIC) {
            connection.drop("a request begins with 0x%08x".formatted(header.magic));
            return false;
        }
        int error = header.refusal(size, readOnly, structured, allocation);
        return error == 0 ? accept(bytes) : refuse(bytes, error);
    }

    private boolean refuse(ByteBuf bytes, int error) {
        if (header.type == NbdProtocol.CMD_WRITE && header.length > 0) {
            if (isPayloadTooLarge()) {
                return false;
            }
            bytes.skipBytes(NbdProtocol.REQUEST_BYTES);
            skip = header.length;
            skipError = error;
            return skipPayload(bytes);
        }
        bytes.skipBytes(NbdProtocol.REQUEST_BYTES);
        answerRefusal(error);
        return true;
    }

    private void answerRefusal(int error) {
        outbox.error(structured, header.cookie, error, header.explain(error, size));
    }

    private boolean skipPayload(ByteBuf bytes) {
        int now = (int) Math.min(skip, bytes.readableBytes());
        bytes.skipBytes(now);
        skip -= now;
        if (skip > 0) {
            return false;
        }
        answerRefusal(skipError);
        return true;
    }

    private boolean accept(ByteBuf bytes) {
        expectLargePayload =
                header.type == NbdProtocol.CMD_WRITE && header.length > INLINE_BYTES_MAX;
        return switch (header.type) {
            case NbdProtocol.CMD_READ -> read(bytes);
            case NbdProtocol.CMD_WRITE -> write(bytes);
            case NbdProtocol.CMD_DISC -> finish();
            default -> dispatch(bytes);
        };
    }

    private boolean read(ByteBuf bytes) {
        if (header.length == 0) {
            outbox.nothing(structured, header.cookie);
        } else if (header.length > INLINE_BYTES_MAX) {
            return dispatch(bytes);
        } else if (isTickSpent()) {
            return false;
        } else if (!readNow((int) header.length)) {
            return dispatch(bytes);
        }
        bytes.skipBytes(NbdProtocol.REQUEST_BYTES);
        return true;
    }

    /// Reads straight behind the header of the reply.
    private boolean readNow(int length) {
        int headerBytes = Replies.readHeaderBytes(structured);
        Shared replies = outbox.room(headerBytes + length);
        ByteBuf out = replies.bytes;
        int at = out.writerIndex() + headerBytes;
        try {
            if (!gate.readNow(header.offset, replies.view(at, length))) {
                return false;
            }
        } catch (BlockException e) {
            answer(e);
            return true;
        }
        Replies.readHeader(out, structured, header.cookie, header.offset, length);
        out.writerIndex(at + length);
        inlineBytes += length;
        return true;
    }

    private boolean write(ByteBuf bytes) {
        if (isPayloadTooLarge()) {
            return false;
        }
        int length = (int) header.length;
        if (length > INLINE_BYTES_MAX) {
            return dispatch(bytes);
        }
        if (bytes.readableBytes() < NbdProtocol.REQUEST_BYTES + length || isTickSpent()) {
            return false;
        }
        if (length == 0) {
            outbox.success(header.cookie);
        } else if (header.isFua() || !writeNow(bytes, length)) {
            return dispatch(bytes);
        }
        bytes.skipBytes(NbdProtocol.REQUEST_BYTES + length);
        return true;
    }

    /// Writes straight from what the socket gave.
    private boolean writeNow(ByteBuf bytes, int length) {
        int at = bytes.readerIndex() + NbdProtocol.REQUEST_BYTES;
        ByteBuffer source = input.view(bytes, at, length);
        try {
            if (!gate.writeNow(header.offset, source)) {
                return false;
            }
        } catch (BlockException e) {
            answer(e);
            return true;
        }
        outbox.success(header.cookie);
        inlineBytes += length;
        return true;
    }

    private void answer(BlockException e) {
        outbox.error(
                structured,
                header.cookie,
                NbdErrors.errno(e.kind(), header.type),
                String.valueOf(e.getMessage()));
    }

    /// Hands the request to a virtual thread, as soon as the allowance lets it.
    private boolean dispatch(ByteBuf bytes) {
        int bufferBytes = Request.bufferBytes(header);
        long cost = (long) Allowance.REQUEST_BYTES + bufferBytes;
        if (!allowance.admit(cost)) {
            waitForAllowance();
            return false;
        }
        ByteBuf buffer = allocate(bufferBytes, cost);
        Request request = new Request(header, cost, gate, structured, buffer, this);
        bytes.skipBytes(NbdProtocol.REQUEST_BYTES);
        if (header.type != NbdProtocol.CMD_WRITE) {
            start(request);
            return true;
        }
        incoming = request;
        return advance(bytes);
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

    private boolean isPayloadTooLarge() {
        if (header.length <= NbdProtocol.PAYLOAD_BYTES_MAX) {
            return false;
        }
        connection.drop(
                "a write of %d bytes, the limit is %d"
                        .formatted(header.length, NbdProtocol.PAYLOAD_BYTES_MAX));
        return true;
    }

    /// Lets the other connections of this loop have their turn once this one had its own.
    private boolean isTickSpent() {
        if (inlineBytes < INLINE_BYTES_PER_TICK) {
            return false;
        }
        waiting = true;
        scheduleResume();
        return true;
    }

    private void waitForAllowance() {
        waiting = true;
        channel.config().setAutoRead(false);
    }

    private void scheduleResume() {
        if (!resumeScheduled) {
            resumeScheduled = true;
            channel.eventLoop().execute(resume);
        }
    }

    private void resume() {
        resumeScheduled = false;
        if (phase != Phase.OPEN) {
            return;
        }
        waiting = false;
        ByteBuf left = input.kept();
        if (left != null) {
            decode(left);
        }
        endTick();
        if (phase == Phase.OPEN && !waiting) {
            channel.config().setAutoRead(true);
            if (inputEnded) {
                finish();
            }
        }
    }

    private void endTick() {
        inlineBytes = 0;
        reads = 0;
        outbox.flush();
    }

    private void drain() {
        Request request = finished.takeAll();
        while (request != null) {
            Request following = request.next;
            request.next = null;
            inFlight--;
            if (phase == Phase.CLOSED) {
                request.discard();
                allowance.release(request.cost);
            } else {
                request.answer(outbox);
            }
            request = following;
        }
        outbox.flush();
        checkEnd();
    }

    /// Takes no more requests.
    ///
    /// @return false, since nothing more is to be decoded
    private boolean finish() {
        if (phase == Phase.OPEN) {
            phase = Phase.FINISHING;
            channel.config().setAutoRead(false);
            dropInput();
            checkEnd();
        }
        return false;
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
        if (phase == Phase.FINISHING) {
            phase = Phase.FAREWELL;
            outbox.closeAfterwards();
            channel.eventLoop().schedule(() -> channel.close(), FAREWELL_SECONDS, TimeUnit.SECONDS);
        } else if (phase == Phase.CLOSED) {
            connection.ended();
        }
    }
}
