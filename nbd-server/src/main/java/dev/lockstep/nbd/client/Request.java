package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Pending;
import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/// One request on one connection, from being queued to being settled.
///
/// It is settled once, by its reply or by whatever ended the connection. The waiter is woken when
/// it is settled and nobody holds its buffer, whichever comes last.
final class Request implements Pending {
    /// The command of bytes that are sent as they are; on the wire it does not exist.
    static final int RAW = -1;

    /// Who is at work on the buffer, and how far the request is: bits of [#state].
    static final int HELD_BY_WRITER = 1;

    static final int HELD_BY_READER = 2;
    private static final int HELD = HELD_BY_WRITER | HELD_BY_READER;
    private static final int SENT = 4;
    private static final int SETTLED = 8;
    private static final int DONE = 16;

    /// 64 TiB: more deadlines than this are no deadline.
    private static final int PATIENCE_MAX = 64 << 10;

    /// How it ended.
    ///
    /// @param kind null for success
    /// @param lost whether the connection ended before the server had answered
    private record Outcome(
            @Nullable Kind kind, String reason, @Nullable Throwable cause, boolean lost) {
        static final Outcome SUCCESS = new Outcome(null, "", null, false);
    }

    final int command;
    final int flags;
    final long offset;
    final long length;

    /// The bytes to send or the room to read into. A read's or write's has `length` bytes.
    final @Nullable ByteBuffer payload;

    private final NbdConnection connection;
    private final AtomicInteger state = new AtomicInteger();
    private final AtomicReference<@Nullable Outcome> outcome = new AtomicReference<>();
    private volatile @Nullable Thread waiter;

    /// Set before the request is published in its slot.
    long cookie;

    /// When it was made, in the connection's time.
    final int bornTick;

    /// What the reader has learnt so far; no other thread looks before the request is settled.
    @Nullable Coverage coverage;

    @Nullable String errorMessage;
    int errno;

    /// By the number of the metadata context.
    final Map<Integer, List<StatusExtent>> statuses = new HashMap<>(2);

    /// How many metadata contexts the reply is to tell about.
    int contextsAsked;

    Request(
            NbdConnection connection,
            int bornTick,
            int command,
            int flags,
            long offset,
            long length,
            @Nullable ByteBuffer payload) {
        this.connection = connection;
        this.bornTick = bornTick;
        this.command = command;
        this.flags = flags;
        this.offset = offset;
        this.length = length;
        this.payload = payload;
    }

    /// Whether its payload is sent.
    boolean sendsPayload() {
        return command == NbdProtocol.CMD_WRITE
                || command == RAW
                || (flags & NbdProtocol.CMD_FLAG_PAYLOAD_LEN) != 0;
    }

    /// The payload's length where the payload carries the range's, else that of the range.
    long lengthOnTheWire() {
        boolean carried =
                command != NbdProtocol.CMD_WRITE && (flags & NbdProtocol.CMD_FLAG_PAYLOAD_LEN) != 0;
        return carried && payload != null ? payload.remaining() : length;
    }

    /// How many deadlines it has: one for each GiB of a range, since a server may have to go
    /// through all of it.
    int patience() {
        return Math.clamp(length >>> 30, 1, PATIENCE_MAX);
    }

    /// Whether a reply follows.
    boolean expectsReply() {
        return command != RAW && command != NbdProtocol.CMD_DISC;
    }

    /// Marks it as sent and keeps its buffer from the waiter until [#release].
    ///
    /// @return false if it is settled already and must not be sent
    boolean holdForWriter() {
        return hold(HELD_BY_WRITER | SENT);
    }

    /// Keeps its buffer from the waiter until [#release].
    ///
    /// @return false if it is settled already and its buffer must not be touched
    boolean holdForReader() {
        return hold(HELD_BY_READER);
    }

    private boolean hold(int bits) {
        int before =
                state.getAndUpdate(bitsNow -> (bitsNow & SETTLED) != 0 ? bitsNow : bitsNow | bits);
        return (before & SETTLED) == 0;
    }

    void release(int holder) {
        wakeIfFree(state.updateAndGet(bits -> bits & ~holder));
    }

    boolean wasSent() {
        return (state.get() & SENT) != 0;
    }

    void succeed() {
        settle(Outcome.SUCCESS);
    }

    void fail(Kind kind, String reason, @Nullable Throwable cause) {
        settle(new Outcome(kind, reason, cause, false));
    }

    /// Fails it because the connection has ended.
    void lose(Kind kind, String reason, @Nullable Throwable cause) {
        settle(new Outcome(kind, reason, cause, true));
    }

    /// Whether it failed because the connection had ended: if it was sent, the server may have done
    /// it or not.
    boolean isLost() {
        Outcome how = outcome.get();
        return how != null && how.lost();
    }

    /// Whether it may be sent again on another connection, see [Replay].
    boolean isSafeToRepeat() {
        return isLost() && (!changesData() || !wasSent() || connection.wasEndedByServer());
    }

    private boolean changesData() {
        return command == NbdProtocol.CMD_WRITE
                || command == NbdProtocol.CMD_WRITE_ZEROES
                || command == NbdProtocol.CMD_TRIM;
    }

    private void settle(Outcome how) {
        if (outcome.compareAndSet(null, how)) {
            wakeIfFree(state.updateAndGet(bits -> bits | SETTLED));
        }
    }

    /// The last of settler and holders to leave wakes the waiter, once.
    private void wakeIfFree(int bits) {
        if ((bits & SETTLED) == 0 || (bits & HELD) != 0) {
            return;
        }
        if ((state.getAndUpdate(now -> now | DONE) & DONE) == 0) {
            connection.retire(this);
            LockSupport.unpark(waiter);
        }
    }

    /// What the reply to a status request said of a context.
    List<StatusExtent> said(String context) {
        Integer id = connection.export().contextId(context);
        return id == null ? List.of() : statuses.getOrDefault(id, List.of());
    }

    boolean isSettled() {
        return (state.get() & SETTLED) != 0;
    }

    /// Whether somebody waits for its reply.
    boolean isAwaited() {
        return waiter != null && !isSettled();
    }

    /// Whether who awaits it can read its reply: virtual threads are cheap to wake, and wait for a
    /// socket by a detour.
    boolean isReadByWaiter() {
        Thread thread = waiter;
        return thread != null && !thread.isVirtual() && expectsReply() && !isSettled();
    }

    /// Wakes who awaits it if that can read.
    boolean wakeToRead() {
        boolean reads = isReadByWaiter();
        if (reads) {
            LockSupport.unpark(waiter);
        }
        return reads;
    }

    private boolean isDone() {
        return (state.get() & DONE) != 0;
    }

    @Override
    public void await() throws BlockException {
        if (!isDone()) {
            park();
        }
        Outcome how = outcome.get();
        if (how != null && how.kind() != null) {
            throw new BlockException(
                    how.kind(),
                    "%s: %s: %s".formatted(connection.description(), this, how.reason()),
                    how.cause());
        }
    }

    /// An interrupt does not end the wait, because the buffer is still in use; it is kept for
    /// later.
    private void park() {
        waiter = Thread.currentThread();
        boolean interrupted = false;
        while (!isDone()) {
            if (!connection.replies().readFor(this)) {
                LockSupport.park(this);
                interrupted |= Thread.interrupted();
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public String toString() {
        String name =
                switch (command) {
                    case NbdProtocol.CMD_READ -> "read";
                    case NbdProtocol.CMD_WRITE -> "write";
                    case NbdProtocol.CMD_FLUSH -> "flush";
                    case NbdProtocol.CMD_TRIM -> "discard";
                    case NbdProtocol.CMD_CACHE -> "cache";
                    case NbdProtocol.CMD_WRITE_ZEROES -> "zero";
                    case NbdProtocol.CMD_BLOCK_STATUS -> "extents";
                    default -> "command " + command;
                };
        return length == 0 ? name : "%s of %d bytes at 0x%x".formatted(name, length, offset);
    }
}
