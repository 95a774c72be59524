package dev.lockstep.nbd.server;

import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.server.LoopBuffers.Shared;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.channel.ChannelPromise;

import org.jspecify.annotations.Nullable;

/// The replies of one connection on their way to the kernel. Small ones are put one after the other
/// into a shared buffer and leave together at the end of the tick; large ones leave from their own
/// buffers. Confined to the event loop.
final class Outbox {
    /// Up to here copying a reply is cheaper than one more buffer for the kernel to gather.
    private static final int COPY_BYTES_MAX = 8 << 10;

    /// Shared buffers that the kernel has not taken: at this many, no more requests are decoded.
    /// One is being sent and the next is ready; more would not stay in the core's cache.
    private static final int BACKLOG_MAX = 2;

    /// Who is told when the kernel took what was held for it.
    interface Releases {
        void hold(long cost);

        void released(long cost);
    }

    private final Channel channel;
    private final LoopBuffers buffers;
    private final Releases releases;
    private final Replies replies;
    private final ChannelPromise noPromise;
    private @Nullable Shared small;
    private boolean unflushed;
    private int backlog;

    Outbox(Channel channel, LoopBuffers buffers, Replies replies, Releases releases) {
        this.channel = channel;
        this.buffers = buffers;
        this.replies = replies;
        this.releases = releases;
        this.noPromise = channel.voidPromise();
    }

    /// The shared buffer, with room for `bytes` more. The caller puts a whole reply or nothing.
    Shared room(int bytes) {
        Shared current = small;
        if (current != null && current.bytes.writableBytes() < bytes) {
            flush();
            current = null;
        }
        if (current == null) {
            current = buffers.takeReplies();
            small = current;
        }
        return current;
    }

    void success(long cookie, long origin) {
        replies.success(room(NbdProtocol.EXTENDED_REPLY_BYTES).bytes, cookie, origin);
    }

    /// Answers a read of no bytes.
    void nothing(long cookie, long origin) {
        replies.nothing(room(NbdProtocol.EXTENDED_REPLY_BYTES).bytes, cookie, origin);
    }

    /// Answers with an error.
    ///
    /// @param at where it failed, everything before being done, or [Replies#NOWHERE]
    void error(long cookie, long origin, int error, String message, long at) {
        ByteBuf out = room(replies.errorBytesMax).bytes;
        replies.error(out, cookie, origin, error, message, at);
    }

    /// Sends a whole reply and releases its buffer. What was held for it is released once the
    /// kernel has it.
    void reply(ByteBuf reply, long cost) {
        if (reply.readableBytes() <= COPY_BYTES_MAX) {
            room(reply.readableBytes()).bytes.writeBytes(reply);
            reply.release();
            releases.released(cost);
        } else {
            unflushed = true;
            channel.write(reply).addListener(_ -> releases.released(cost));
        }
    }

    /// Says that a request whose reply was put whole holds nothing any more.
    void released(long cost) {
        releases.released(cost);
    }

    /// Hands everything to the kernel. What it does not take at once counts as held.
    void flush() {
        Shared sent = small;
        if (sent == null) {
            if (unflushed) {
                unflushed = false;
                channel.flush();
            }
            return;
        }
        small = null;
        unflushed = false;
        int cost = sent.bytes.readableBytes();
        if (cost > 0) {
            channel.write(sent.bytes.retain(), noPromise);
            channel.flush();
        }
        if (sent.bytes.refCnt() == 1) {
            buffers.giveBack(sent);
            if (isAllTaken()) {
                return;
            }
        } else {
            sent.bytes.release();
        }
        releases.hold(cost);
        backlog++;
        // Completed in order, so after the bytes before it.
        channel.writeAndFlush(Unpooled.EMPTY_BUFFER)
                .addListener(
                        _ -> {
                            backlog--;
                            releases.released(cost);
                        });
    }

    /// Whether the kernel has everything. Behind TLS that does not follow from having our buffer
    /// back, since what waits for the kernel is another.
    private boolean isAllTaken() {
        ChannelOutboundBuffer waiting = channel.unsafe().outboundBuffer();
        return waiting == null || waiting.isEmpty();
    }

    /// Whether the client does not read its replies as fast as it asks.
    boolean isBackedUp() {
        return backlog >= BACKLOG_MAX;
    }

    /// Closes the connection once everything has been sent.
    void closeAfterwards() {
        flush();
        channel.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
    }

    /// Drops what was not sent.
    void discard() {
        Shared unsent = small;
        if (unsent != null) {
            small = null;
            buffers.giveBack(unsent);
        }
    }
}
