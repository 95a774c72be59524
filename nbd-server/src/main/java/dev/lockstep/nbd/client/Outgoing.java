package dev.lockstep.nbd.client;

import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.GatheringByteChannel;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;

/// The way to the server. Any thread sends; whoever finds nobody writing writes what everybody has
/// queued, until the queue is empty.
final class Outgoing {
    /// 32 requests of 4 KiB with their headers leave in one system call.
    private static final int STAGING_BYTES = 256 << 10;

    /// Up to here, copying a payload next to its header is cheaper than an entry of a gathering
    /// write. A longer one in direct memory is written from where it lies.
    private static final int COPY_BYTES_MAX = 16 << 10;

    /// After so many batches a caller has written for the others long enough, and a thread of its
    /// own goes on.
    private static final int BATCHES_MAX = 16;

    private final NbdConnection connection;
    private final GatheringByteChannel channel;
    private final boolean extended;
    private final ConcurrentLinkedQueue<Request> queue = new ConcurrentLinkedQueue<>();

    /// Requests that were queued and not yet counted as taken. Who raises it from 0 is the writer,
    /// and stays so until it has brought it back to 0 or below: below, because a request is queued
    /// before it is counted. Only the writer touches the fields that follow.
    private final AtomicInteger backlog = new AtomicInteger();

    private final ByteBuffer staging = ByteBuffer.allocateDirect(STAGING_BYTES);

    Outgoing(NbdConnection connection, GatheringByteChannel channel, HeaderStyle headers) {
        this.connection = connection;
        this.channel = channel;
        this.extended = headers == HeaderStyle.EXTENDED;
    }

    /// Queues a request, and writes if nobody else does. `alone` says that no other request is
    /// likely to follow within a moment.
    @SuppressWarnings("ThreadPriorityCheck") // The yield is worth a batch; nothing relies on it.
    void send(Request request, boolean alone) {
        queue.add(request);
        if (backlog.getAndIncrement() != 0) {
            return;
        }
        if (!alone && Thread.currentThread().isVirtual()) {
            // The callers that one batch of replies woke are about to run on this carrier: after
            // them there is one batch to write instead of one request.
            Thread.yield();
        }
        boolean interrupted = Thread.interrupted(); // An interrupted write would close the socket.
        drain();
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void drain() {
        try {
            for (int batch = 1; writeBatch(); batch++) {
                if (batch == BATCHES_MAX) {
                    Thread.startVirtualThread(this::drain);
                    return;
                }
            }
        } catch (IOException e) {
            connection.lose(e);
        }
    }

    /// Writes what is queued.
    ///
    /// @return whether more was queued meanwhile
    private boolean writeBatch() throws IOException {
        int taken = 0;
        for (Request request = queue.poll(); request != null; request = queue.poll()) {
            taken++;
            append(request);
        }
        writeStaging(null);
        return backlog.addAndGet(-taken) > 0;
    }

    private void append(Request request) throws IOException {
        if (!request.holdForWriter()) {
            return;
        }
        try {
            if (request.command != Request.RAW) {
                appendHeader(request);
            }
            if (request.sendsPayload()) {
                appendPayload(request.payload);
            }
        } finally {
            request.release(Request.HELD_BY_WRITER);
        }
        if (!request.expectsReply()) {
            writeStaging(null);
            request.succeed();
        }
    }

    private void appendHeader(Request request) throws IOException {
        if (staging.remaining() < NbdProtocol.EXTENDED_REQUEST_BYTES) {
            writeStaging(null);
        }
        staging.putInt(extended ? NbdProtocol.EXTENDED_REQUEST_MAGIC : NbdProtocol.REQUEST_MAGIC)
                .putShort((short) request.flags)
                .putShort((short) request.command)
                .putLong(request.cookie)
                .putLong(request.offset);
        if (extended) {
            staging.putLong(request.lengthOnTheWire());
        } else {
            staging.putInt((int) request.lengthOnTheWire());
        }
    }

    private void appendPayload(@Nullable ByteBuffer payload) throws IOException {
        if (payload == null) {
            return;
        }
        if (payload.isDirect() && payload.remaining() > COPY_BYTES_MAX) {
            writeStaging(payload);
            return;
        }
        while (payload.hasRemaining()) {
            if (!staging.hasRemaining()) {
                writeStaging(null);
            }
            int count = Math.min(staging.remaining(), payload.remaining());
            staging.put(staging.position(), payload, payload.position(), count);
            staging.position(staging.position() + count);
            payload.position(payload.position() + count);
        }
    }

    /// Writes what was staged and then `payload`, in as few system calls as the socket allows.
    private void writeStaging(@Nullable ByteBuffer payload) throws IOException {
        staging.flip();
        if (payload == null) {
            while (staging.hasRemaining()) {
                channel.write(staging);
            }
        } else {
            ByteBuffer[] both = {staging, payload};
            while (payload.hasRemaining()) {
                channel.write(both);
            }
        }
        staging.clear();
    }
}
