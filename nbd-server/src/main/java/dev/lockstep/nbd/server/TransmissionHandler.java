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
    private final LoopBuffers buffers;
    private final Outbox outbox;
    private final Allowance allowance;
    private final RequestHeader header = new RequestHeader();
    private final Finished finished = new Finished();
    private final Runnable drain = this::drain;
    private final Runnable resume = this::resume;

    private Phase phase = Phase.OPEN;

    /// Bytes that were read and not decoded: the beginning of a request, or all of them while this
    /// connection waits.
    private @Nullable ByteBuf carry;

    /// What the socket was last read into; it begins with what was carried over.
    private @Nullable ByteBuf lastInput;

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
        this.buffers = LoopBuffers.current();
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
        ByteBuf left = carry;
        int kept = left == null ? 0 : left.readableBytes();
        ByteBuf input = inputFor(kept);
        if (left != null) {
            input.writeBytes(left, left.readerIndex(), kept);
        }
        lastInput = input;
        return input;
    }

    /// An empty buffer, retained, that holds what was kept and more. The largest is needed only
    /// where the peer has ended its stream while this connection waits: then its socket is read to
    /// the end.
    private ByteBuf inputFor(int kept) {
        if (kept > LoopBuffers.INPUT_BYTES / 2) {
            return channel.alloc().directBuffer(kept + LoopBuffers.INPUT_BYTES);
        }
        boolean headersOnly = expectLargePayload && kept < LoopBuffers.HEADER_INPUT_BYTES / 2;
        return (headersOnly ? buffers.headerInput : buffers.input).bytes.clear().retain();
    }

    @Override
    public boolean wantsMore() {
        return phase == Phase.OPEN && !waiting && reads < READS_PER_TICK;
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        ByteBuf input = (ByteBuf) message;
        try {
            Request request = incoming;
            if (request != null && isSame(request.payload(), input)) {
                payloadGrew(request);
            } else if (phase == Phase.OPEN) {
                decode(withCarry(input));
            }
        } finally {
            input.release();
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

    /// Buffers are equal when their contents are; here the question is which one it is.
    @SuppressWarnings("ReferenceEquality")
    private static boolean isSame(ByteBuf one, @Nullable ByteBuf other) {
        return one == other;
    }

    private ByteBuf withCarry(ByteBuf input) {
        ByteBuf left = carry;
        if (left == null) {
            return input;
        }
        carry = null;
        if (isSame(input, lastInput)) {
            left.release();
            return input;
        }
        ByteBuf joined = channel.alloc().directBuffer(left.readableBytes() + input.readableBytes());
        joined.writeBytes(left).writeBytes(input);
        left.release();
        carry = joined;
        return joined;
    }

    private void decode(ByteBuf input) {
        boolean going = true;
        while (going && phase == Phase.OPEN && !waiting) {
            going = advance(input);
        }
        if (phase == Phase.OPEN) {
            keep(input);
        }
    }

    /// Keeps what was not decoded beyond this tick.
    private void keep(ByteBuf input) {
        if (isSame(input, carry)) {
            if (!input.isReadable()) {
                carry = null;
                input.release();
            }
            return;
        }
        int left = input.readableBytes();
        if (left > 0) {
            carry = channel.alloc().directBuffer(left).writeBytes(input);
            if (left > LoopBuffers.INPUT_BYTES / 2) {
                channel.config().setAutoRead(false);
            }
        }
    }

    /// Takes one step.
    ///
    /// @return false if that needs more bytes, or leave to go on
    private boolean advance(ByteBuf input) {
        if (skip > 0) {
            return skipPayload(input);
        }
        Request request = incoming;
        if (request != null) {
            ByteBuf payload = request.payload();
            payload.writeBytes(input, Math.min(payload.writableBytes(), input.readableBytes()));
            payloadGrew(request);
            return incoming == null;
        }
        if (input.readableBytes() < NbdProtocol.REQUEST_BYTES) {
            return false;
        }
        header.peek(input);
        if (header.magic != NbdProtocol.REQUEST_MAGIC) {
            connection.drop("a request begins with 0x%08x".formatted(header.magic));
            return false;
        }
        int error = header.refusal(size, readOnly, structured, allocation);
        return error == 0 ? accept(input) : refuse(input, error);
    }

    private boolean refuse(ByteBuf input, int error) {
        if (header.type == NbdProtocol.CMD_WRITE && header.length > 0) {
            if (isPayloadTooLarge()) {
                return false;
            }
            input.skipBytes(NbdProtocol.REQUEST_BYTES);
            skip = header.length;
            skipError = error;
            return skipPayload(input);
        }
        input.skipBytes(NbdProtocol.REQUEST_BYTES);
        answerRefusal(error);
        return true;
    }

    private void answerRefusal(int error) {
        outbox.error(structured, header.cookie, error, header.explain(error, size));
    }

    private boolean skipPayload(ByteBuf input) {
        int now = (int) Math.min(skip, input.readableBytes());
        input.skipBytes(now);
        skip -= now;
        if (skip > 0) {
            return false;
        }
        answerRefusal(skipError);
        return true;
    }

    private boolean accept(ByteBuf input) {
        expectLargePayload =
                header.type == NbdProtocol.CMD_WRITE && header.length > INLINE_BYTES_MAX;
        return switch (header.type) {
            case NbdProtocol.CMD_READ -> read(input);
            case NbdProtocol.CMD_WRITE -> write(input);
            case NbdProtocol.CMD_DISC -> finish();
            default -> dispatch(input);
        };
    }

    private boolean read(ByteBuf input) {
        if (header.length == 0) {
            outbox.nothing(structured, header.cookie);
        } else if (header.length > INLINE_BYTES_MAX) {
            return dispatch(input);
        } else if (isTickSpent()) {
            return false;
        } else if (!readNow((int) header.length)) {
            return dispatch(input);
        }
        input.skipBytes(NbdProtocol.REQUEST_BYTES);
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

    private boolean write(ByteBuf input) {
        if (isPayloadTooLarge()) {
            return false;
        }
        int length = (int) header.length;
        if (length > INLINE_BYTES_MAX) {
            return dispatch(input);
        }
        if (input.readableBytes() < NbdProtocol.REQUEST_BYTES + length || isTickSpent()) {
            return false;
        }
        if (length == 0) {
            outbox.success(header.cookie);
        } else if (header.isFua() || !writeNow(input, length)) {
            return dispatch(input);
        }
        input.skipBytes(NbdProtocol.REQUEST_BYTES + length);
        return true;
    }

    /// Writes straight from what the socket gave.
    private boolean writeNow(ByteBuf input, int length) {
        int at = input.readerIndex() + NbdProtocol.REQUEST_BYTES;
        ByteBuffer source =
                isSame(input, buffers.input.bytes)
                        ? buffers.input.view(at, length)
                        : input.nioBuffer(at, length);
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
    private boolean dispatch(ByteBuf input) {
        int bufferBytes = Request.bufferBytes(header);
        long cost = (long) Allowance.REQUEST_BYTES + bufferBytes;
        if (!allowance.admit(cost)) {
            waitForAllowance();
            return false;
        }
        ByteBuf buffer = allocate(bufferBytes, cost);
        Request request = new Request(header, cost, gate, structured, buffer, this);
        input.skipBytes(NbdProtocol.REQUEST_BYTES);
        if (header.type != NbdProtocol.CMD_WRITE) {
            start(request);
            return true;
        }
        incoming = request;
        return advance(input);
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
        ByteBuf left = carry;
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
        ByteBuf left = carry;
        if (left != null) {
            carry = null;
            left.release();
        }
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
