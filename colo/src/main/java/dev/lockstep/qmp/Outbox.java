package dev.lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// Messages on their way to one peer, and the loop that writes them. What is queued is bounded: a
/// peer that does not read costs its sender at most [#QUEUED_BYTES_MAX] and one message.
final class Outbox {
    /// Some thousand events or replies: more than any pause of a healthy reader accounts for.
    static final int QUEUED_BYTES_MAX = 1 << 20;

    /// What one write takes along: many small messages, without copying a large queue.
    private static final int BATCH_BYTES = 64 << 10;

    private final WritableByteChannel channel;

    /// Guards: queue, queuedBytes, writing, closed. Conditions: `changed` on each change of them.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private final ArrayDeque<byte[]> queue = new ArrayDeque<>();
    private long queuedBytes;
    private boolean writing;
    private boolean closed;

    Outbox(WritableByteChannel channel) {
        this.channel = channel;
    }

    /// Queues a message if there is room.
    ///
    /// @return false if there is not, or the outbox is closed
    boolean offer(byte[] message) {
        lock.lock();
        try {
            return hasRoom() && append(message);
        } finally {
            lock.unlock();
        }
    }

    /// Queues a message, waiting for room.
    ///
    /// @return false if there was none within the time, or the outbox is closed
    boolean offer(byte[] message, Duration patience) throws InterruptedException {
        long nanos = patience.toNanos();
        lock.lock();
        try {
            while (!hasRoom() && !closed && nanos > 0) {
                nanos = changed.awaitNanos(nanos);
            }
            return hasRoom() && append(message);
        } finally {
            lock.unlock();
        }
    }

    /// Writes what is queued until [#close] or until the channel fails.
    void drainLoop() throws IOException, InterruptedException {
        while (true) {
            ByteBuffer batch = nextBatch();
            if (batch == null) {
                return;
            }
            while (batch.hasRemaining()) {
                channel.write(batch);
            }
        }
    }

    /// Waits until everything queued was handed to the kernel, at most for a time.
    void awaitEmpty(Duration patience) throws InterruptedException {
        long deadline = System.nanoTime() + patience.toNanos();
        lock.lock();
        try {
            long nanos = patience.toNanos();
            while ((!queue.isEmpty() || writing) && !closed && nanos > 0) {
                boolean _ = changed.await(nanos, TimeUnit.NANOSECONDS);
                nanos = deadline - System.nanoTime();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Drops what is queued and ends the loop.
    void close() {
        lock.lock();
        try {
            closed = true;
            queue.clear();
            queuedBytes = 0;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private boolean hasRoom() {
        return !closed && queuedBytes < QUEUED_BYTES_MAX;
    }

    private boolean append(byte[] message) {
        queue.add(message);
        queuedBytes += message.length;
        changed.signalAll();
        return true;
    }

    private @Nullable ByteBuffer nextBatch() throws InterruptedException {
        lock.lock();
        try {
            writing = false;
            changed.signalAll();
            while (queue.isEmpty() && !closed) {
                changed.await();
            }
            if (closed) {
                return null;
            }
            byte[] first = queue.remove();
            queuedBytes -= first.length;
            writing = true;
            if (queue.isEmpty() || first.length >= BATCH_BYTES) {
                return ByteBuffer.wrap(first);
            }
            return gather(first);
        } finally {
            lock.unlock();
        }
    }

    private ByteBuffer gather(byte[] first) {
        ByteBuffer batch = ByteBuffer.allocate(BATCH_BYTES).put(first);
        for (byte[] next = queue.peek();
                next != null && next.length <= batch.remaining();
                next = queue.peek()) {
            queue.remove();
            queuedBytes -= next.length;
            batch.put(next);
        }
        return batch.flip();
    }
}
