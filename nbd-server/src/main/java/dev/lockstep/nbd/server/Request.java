package dev.lockstep.nbd.server;

import static dev.lockstep.nbd.NbdProtocol.CMD_BLOCK_STATUS;
import static dev.lockstep.nbd.NbdProtocol.CMD_CACHE;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_DF;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_FAST_ZERO;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_FUA;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_NO_HOLE;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLAG_REQ_ONE;
import static dev.lockstep.nbd.NbdProtocol.CMD_FLUSH;
import static dev.lockstep.nbd.NbdProtocol.CMD_READ;
import static dev.lockstep.nbd.NbdProtocol.CMD_TRIM;
import static dev.lockstep.nbd.NbdProtocol.CMD_WRITE;
import static dev.lockstep.nbd.NbdProtocol.CMD_WRITE_ZEROES;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.ContextSelection;
import dev.lockstep.nbd.NbdErrors;
import dev.lockstep.nbd.NbdProtocol;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// One request on the slow path: decoded on the event loop, carried out on a virtual thread of its
/// own, answered on the event loop. Whoever has it at the moment is its only user.
final class Request implements Runnable {
    /// What CACHE reads at a time.
    private static final int CACHE_STEP_BYTES = 1 << 20;

    /// The most that one CACHE reads; it is a hint, and the rest of the range is left alone.
    private static final long CACHE_BYTES_MAX = NbdProtocol.PAYLOAD_BYTES_MAX;

    /// Far below what the protocol allows: 32768 extents are 256 KiB of reply, and the client asks
    /// again from where they end.
    private static final int EXTENTS_MAX = 32 << 10;

    private static final Logger LOG = LoggerFactory.getLogger(Request.class);

    /// Where a finished request is handed in.
    interface Completion {
        /// Called on the request's own thread, as its last act.
        void completed(Request request);
    }

    final int type;
    final long cookie;
    final long cost;

    /// What goes wrong with it, or null.
    final Faults.@Nullable Verdict verdict;

    private final int flags;
    private final long offset;
    private final long length;
    private final Gate gate;
    private final boolean structured;
    private final List<ContextSelection.Selected> contexts;
    private final Completion completion;

    /// The payload of a write; the bytes of a CACHE; the whole reply of a read or BLOCK_STATUS.
    private @Nullable ByteBuf buffer;

    private int error;
    private String message = "";

    /// The next in the stack of finished requests; see [Finished].
    @Nullable Request next;

    /// @param buffer of [#bufferBytes] bytes or more, or null where that is 0
    Request(
            RequestHeader header,
            long cost,
            Gate gate,
            boolean structured,
            Faults.@Nullable Verdict verdict,
            List<ContextSelection.Selected> contexts,
            @Nullable ByteBuf buffer,
            Completion completion) {
        this.type = header.type;
        this.flags = header.flags;
        this.cookie = header.cookie;
        this.offset = header.offset;
        this.length = header.length;
        this.cost = cost;
        this.gate = gate;
        this.structured = structured;
        this.verdict = verdict;
        this.contexts = contexts;
        this.buffer = buffer;
        this.completion = completion;
    }

    /// How large a buffer a request needs while it is in flight.
    static int bufferBytes(RequestHeader header) {
        return switch (header.type) {
            case CMD_WRITE -> (int) header.length;
            case CMD_READ -> Replies.DATA_HEADER_BYTES + (int) header.length;
            case CMD_CACHE -> (int) Math.min(header.length, CACHE_STEP_BYTES);
            default -> 0;
        };
    }

    /// What a request takes of the allowance.
    static long cost(RequestHeader header) {
        return (long) Allowance.REQUEST_BYTES + bufferBytes(header);
    }

    /// The payload's buffer, into which the socket is read.
    ByteBuf payload() {
        ByteBuf bytes = buffer;
        if (bytes == null) {
            throw new IllegalStateException("this request has no payload");
        }
        return bytes;
    }

    boolean lacksPayload() {
        return payload().readableBytes() < length;
    }

    @Override
    public void run() {
        try {
            if (verdict == null) {
                execute();
            } else {
                execute(verdict);
            }
        } catch (BlockException e) {
            fail(NbdErrors.errno(e.kind(), type), String.valueOf(e.getMessage()));
        } catch (RuntimeException | OutOfMemoryError | StackOverflowError e) {
            LOG.error("command {} at {}, {} bytes, on {}", type, offset, length, describe(), e);
            fail(NbdProtocol.EIO, "internal error: " + e);
        } finally {
            completion.completed(this);
        }
    }

    /// Puts the reply out and releases the buffer. On the event loop.
    void answer(Outbox outbox) {
        ByteBuf bytes = buffer;
        buffer = null;
        boolean isReply = type == CMD_READ || type == CMD_BLOCK_STATUS;
        if (error == 0 && isReply && bytes != null) {
            outbox.reply(bytes, cost);
            return;
        }
        if (bytes != null) {
            bytes.release();
        }
        if (error != 0) {
            outbox.error(structured, cookie, error, message);
        } else {
            outbox.success(cookie);
        }
        outbox.released(cost);
    }

    /// Releases the buffer without an answer.
    void discard() {
        ByteBuf bytes = buffer;
        if (bytes != null) {
            buffer = null;
            bytes.release();
        }
    }

    private void execute(Faults.Verdict fault) throws BlockException {
        fault.await();
        if (fault.carriesOut()) {
            execute();
        }
        if (fault.effect() instanceof ServerFault.Refuse(int injected)) {
            fail(injected, "injected fault");
        }
    }

    private void execute() throws BlockException {
        switch (type) {
            case CMD_READ -> read(payload());
            case CMD_WRITE -> gate.write(offset, payload().nioBuffer(0, (int) length), fuaOnly());
            case CMD_FLUSH -> gate.flush();
            case CMD_TRIM -> trim();
            case CMD_CACHE -> cache(payload());
            case CMD_WRITE_ZEROES -> gate.zero(offset, length, zeroFlags());
            case CMD_BLOCK_STATUS -> blockStatus();
            default -> throw new IllegalStateException("command " + type);
        }
    }

    /// Reads behind the header. What turns out to be zeroes is not sent, where the client
    /// understands that.
    private void read(ByteBuf reply) throws BlockException {
        int headerBytes = Replies.readHeaderBytes(structured);
        int bytes = (int) length;
        gate.read(offset, reply.nioBuffer(headerBytes, bytes));
        if (structured && (flags & CMD_FLAG_DF) == 0) {
            buffer = ZeroRuns.reply(reply, headerBytes, bytes, cookie, offset);
        } else {
            Replies.readHeader(reply, structured, cookie, offset, bytes);
            reply.writerIndex(headerBytes + bytes);
        }
    }

    private void trim() throws BlockException {
        gate.discard(offset, length);
        if ((flags & CMD_FLAG_FUA) != 0) {
            gate.flush();
        }
    }

    private void cache(ByteBuf scrap) throws BlockException {
        long end = offset + Math.min(length, CACHE_BYTES_MAX);
        for (long at = offset; at < end; ) {
            int step = (int) Math.min(CACHE_STEP_BYTES, end - at);
            gate.read(at, scrap.nioBuffer(0, step));
            at += step;
        }
    }

    private void blockStatus() throws BlockException {
        int limit = (flags & CMD_FLAG_REQ_ONE) != 0 ? 1 : EXTENTS_MAX / contexts.size();
        ByteBuf reply = Unpooled.buffer();
        buffer = reply;
        for (int i = 0; i < contexts.size(); i++) {
            ExtentList list = new ExtentList(limit, length);
            contexts.get(i).context().statuses(offset, length).forEach(list::add);
            int last = i == contexts.size() - 1 ? NbdProtocol.REPLY_FLAG_DONE : 0;
            list.put(reply, last, cookie, contexts.get(i).id());
        }
    }

    private Set<WriteFlag> fuaOnly() {
        return (flags & CMD_FLAG_FUA) != 0 ? WriteFlag.DURABLE : WriteFlag.NONE;
    }

    private Set<WriteFlag> zeroFlags() {
        Set<WriteFlag> result = EnumSet.noneOf(WriteFlag.class);
        if ((flags & CMD_FLAG_FUA) != 0) {
            result.add(WriteFlag.FUA);
        }
        if ((flags & CMD_FLAG_NO_HOLE) == 0) {
            result.add(WriteFlag.MAY_UNMAP);
        }
        if ((flags & CMD_FLAG_FAST_ZERO) != 0) {
            result.add(WriteFlag.FAST);
        }
        return result;
    }

    private void fail(int errno, String reason) {
        error = errno;
        message = reason;
    }

    private String describe() {
        return gate.description();
    }
}
