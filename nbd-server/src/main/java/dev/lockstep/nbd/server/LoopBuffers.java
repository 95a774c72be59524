package dev.lockstep.nbd.server;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.util.concurrent.FastThreadLocal;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;

/// What all connections of one event loop share: the buffers, because only one of them is at work
/// at a time, and the turns they take. Confined to the loop's thread.
final class LoopBuffers {
    /// What one read takes from a socket: 32 writes of 4 KiB, or two of 64 KiB, with their headers.
    /// Half of it holds the most that is kept while a write lacks bytes: less than the smallest
    /// piece of one, and a page (see [InlineIo]).
    ///
    /// It and [#REPLY_BYTES] are no more because the bytes pass a core's cache three times: in the
    /// page cache, here, and in the socket's queue. With 256 KiB, of which some are in use at once,
    /// that was more than 1 MiB, and cost a quarter more processor time at 64 KiB a request.
    static final int INPUT_BYTES = 144 << 10;

    /// What is read when a large payload is expected next: a few headers, so that the payload
    /// itself goes to its own buffer and is not copied.
    static final int HEADER_INPUT_BYTES = 1 << 10;

    /// What replies may take before they leave: 32 reads of 4 KiB, or two of 64 KiB, and a page for
    /// their headers.
    static final int REPLY_BYTES = (128 << 10) + 4096;

    /// Spare reply buffers kept: one is enough while clients read their replies at once, a few are
    /// in the kernel's queue otherwise.
    private static final int SPARES_MAX = 4;

    private static final FastThreadLocal<LoopBuffers> CURRENT =
            new FastThreadLocal<>() {
                @Override
                protected LoopBuffers initialValue() {
                    return new LoopBuffers();
                }

                @Override
                protected void onRemoval(LoopBuffers buffers) {
                    buffers.release();
                }
            };

    final Turns turns = new Turns();
    final Shared input = new Shared(INPUT_BYTES);
    final Shared headerInput = new Shared(HEADER_INPUT_BYTES);
    private final ArrayDeque<Shared> spares = new ArrayDeque<>(SPARES_MAX);

    /// Pieces done inline since the loop last asked.
    private int requests;

    private LoopBuffers() {}

    /// Those of the loop that runs the calling thread.
    static LoopBuffers current() {
        return CURRENT.get();
    }

    /// A request, or a piece of one, was done on this loop.
    void countRequest() {
        requests++;
    }

    /// Returns how many were counted, and counts from none again.
    int takeRequests() {
        int taken = requests;
        requests = 0;
        return taken;
    }

    Shared takeReplies() {
        @Nullable Shared spare = spares.poll();
        return spare != null ? spare : new Shared(REPLY_BYTES);
    }

    /// Takes back a buffer that nobody else holds any more.
    void giveBack(Shared replies) {
        replies.bytes.clear();
        if (spares.size() < SPARES_MAX) {
            spares.push(replies);
        } else {
            replies.bytes.release();
        }
    }

    private void release() {
        input.bytes.release();
        headerInput.bytes.release();
        spares.forEach(spare -> spare.bytes.release());
    }

    /// A direct buffer with a second view of the same memory, so that device calls need no new one.
    static final class Shared {
        final ByteBuf bytes;
        private final ByteBuffer view;

        private Shared(int capacity) {
            bytes = Unpooled.directBuffer(capacity, capacity);
            view = bytes.nioBuffer(0, capacity);
        }

        /// The given bytes. The buffer is valid until the next call.
        ByteBuffer view(int index, int length) {
            return view.limit(index + length).position(index);
        }
    }
}
