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
import static dev.lockstep.nbd.NbdProtocol.CMD_RESIZE;
import static dev.lockstep.nbd.NbdProtocol.CMD_TRIM;
import static dev.lockstep.nbd.NbdProtocol.CMD_WRITE;
import static dev.lockstep.nbd.NbdProtocol.CMD_WRITE_ZEROES;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.ContextSelection.Selected;
import dev.lockstep.nbd.NbdErrors;
import dev.lockstep.nbd.NbdProtocol;

import io.netty.buffer.ByteBuf;

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

    /// What is zeroed or discarded at a time, however much one request asks for: between two steps
    /// the gate can be shut, and a client that has gone is noticed.
    private static final long ZERO_STEP_BYTES = 1 << 30;

    private static final Logger LOG = LoggerFactory.getLogger(Request.class);

    /// What the requests of one connection have in common.
    interface Owner {
        /// Carries them out.
        Gate gate();

        /// Knows how to answer them.
        Replies replies();

        /// What their offsets and lengths are multiples of.
        int blockBytes();

        /// Whether nobody waits for answers any more. From any thread.
        boolean isGone();

        /// Called on the request's own thread, as its last act.
        void completed(Request request);
    }

    final int type;
    final long cookie;
    final long cost;

    /// What goes wrong with it, or null.
    final Faults.@Nullable Verdict verdict;

    final long origin;
    final long offset;
    final long length;
    private final int flags;
    private final List<Selected> contexts;
    private final Owner owner;
    private final Gate gate;
    private final Replies replies;

    /// Where the execution has come to: everything before is done.
    private long at;

    /// The payload of a write; the bytes of a CACHE; the whole reply of a read or BLOCK_STATUS.
    private @Nullable ByteBuf buffer;

    private int error;
    private String message = "";

    /// The next in the stack of finished requests; see [Finished].
    @Nullable Request next;

    /// @param contexts what a BLOCK_STATUS is about
    /// @param buffer of [#bufferBytes] bytes or more, or null where that is 0
    Request(
            RequestHeader header,
            List<Selected> contexts,
            long cost,
            Faults.@Nullable Verdict verdict,
            @Nullable ByteBuf buffer,
            Owner owner) {
        this.type = header.type;
        this.flags = header.flags;
        this.cookie = header.cookie;
        this.origin = header.origin;
        this.offset = header.offset;
        this.at = header.offset;
        this.length = header.length;
        this.contexts = contexts;
        this.cost = cost;
        this.verdict = verdict;
        this.buffer = buffer;
        this.owner = owner;
        this.gate = owner.gate();
        this.replies = owner.replies();
    }

    /// How large a buffer a request needs while it is in flight.
    static int bufferBytes(RequestHeader header, Replies replies) {
        return switch (header.type) {
            case CMD_WRITE -> (int) header.length;
            case CMD_READ -> replies.readHeaderBytes + (int) header.length;
            case CMD_CACHE -> (int) Math.min(header.length, CACHE_STEP_BYTES);
            default -> 0;
        };
    }

    /// What a request takes of the allowance.
    static long cost(RequestHeader header, Replies replies) {
        int statusBytes =
                header.type == CMD_BLOCK_STATUS
                        ? StatusReply.bytesMax((header.flags & CMD_FLAG_REQ_ONE) != 0)
                        : 0;
        return (long) Allowance.REQUEST_BYTES + bufferBytes(header, replies) + statusBytes;
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
            fail(errno(e.kind()), e.getMessage());
        } catch (RuntimeException | OutOfMemoryError | StackOverflowError e) {
            LOG.error("command {} at {}, {} bytes, on {}", type, offset, length, describe(), e);
            at = Replies.NOWHERE;
            fail(NbdProtocol.EIO, "internal error: " + e);
        } finally {
            owner.completed(this);
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
            outbox.error(cookie, origin, error, message, failedAt());
        } else {
            outbox.success(cookie, origin);
        }
        outbox.released(cost);
    }

    /// Where a request that is about a range has failed.
    private long failedAt() {
        boolean hasRange = type != CMD_FLUSH && type != CMD_RESIZE;
        return hasRange && at < offset + length ? at : Replies.NOWHERE;
    }

    /// Whether it has changed the size of the export.
    boolean hasResized() {
        return type == CMD_RESIZE && error == 0;
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
            at = Replies.NOWHERE;
            fail(injected, "injected fault");
        }
    }

    private void execute() throws BlockException {
        switch (type) {
            case CMD_READ -> read(payload());
            case CMD_WRITE -> gate.write(offset, payload().nioBuffer(0, (int) length), fuaOnly());
            case CMD_FLUSH -> gate.flush();
            case CMD_TRIM -> trim();
            case CMD_CACHE -> {
                if (length > 0) {
                    cache(payload());
                }
            }
            case CMD_WRITE_ZEROES -> zero();
            case CMD_BLOCK_STATUS -> buffer = status();
            case CMD_RESIZE -> gate.resize(offset);
            default -> throw new IllegalStateException("command " + type);
        }
    }

    /// Reads behind the header. What turns out to be zeroes is not sent, where the client
    /// understands that.
    private void read(ByteBuf reply) throws BlockException {
        int headerBytes = replies.readHeaderBytes;
        int bytes = (int) length;
        gate.read(offset, reply.nioBuffer(headerBytes, bytes));
        if (replies.chunked && (flags & CMD_FLAG_DF) == 0) {
            buffer = ZeroRuns.reply(replies, this, reply);
        } else {
            replies.data(reply, NbdProtocol.REPLY_FLAG_DONE, cookie, origin, offset, bytes);
            reply.writerIndex(headerBytes + bytes);
        }
    }

    private void trim() throws BlockException {
        long end = offset + length;
        while (at < end) {
            requireOpen();
            long step = Math.min(ZERO_STEP_BYTES, end - at);
            gate.discard(at, step);
            at += step;
        }
        if ((flags & CMD_FLAG_FUA) != 0) {
            gate.flush();
        }
    }

    /// A fast zero fails at its first step or is carried through.
    private void zero() throws BlockException {
        long end = offset + length;
        Set<WriteFlag> zeroFlags = zeroFlags();
        while (at < end) {
            requireOpen();
            long step = Math.min(ZERO_STEP_BYTES, end - at);
            gate.zero(at, step, zeroFlags);
            at += step;
            zeroFlags = WriteFlag.without(zeroFlags, WriteFlag.FAST);
        }
    }

    private void cache(ByteBuf scrap) throws BlockException {
        long end = offset + Math.min(length, CACHE_BYTES_MAX);
        while (at < end) {
            requireOpen();
            int step = (int) Math.min(CACHE_STEP_BYTES, end - at);
            gate.read(at, scrap.nioBuffer(0, step));
            at += step;
        }
    }

    private ByteBuf status() throws BlockException {
        StatusReply reply = new StatusReply(replies, this, owner.blockBytes());
        return reply.make(contexts, (flags & CMD_FLAG_REQ_ONE) != 0);
    }

    /// Gives up what nobody waits for any more.
    void requireOpen() throws BlockException {
        if (owner.isGone()) {
            throw new BlockException(Kind.GONE, "the client has gone");
        }
    }

    /// ENOTSUP is for fast zeroes alone.
    private int errno(Kind kind) {
        int errno = NbdErrors.errno(kind, type);
        boolean fast = (flags & CMD_FLAG_FAST_ZERO) != 0;
        return errno == NbdProtocol.ENOTSUP && !fast ? NbdProtocol.EINVAL : errno;
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
