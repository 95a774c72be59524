package dev.lockstep.colo;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.locks.ReentrantLock;

/// Requests under way, each awaited by the thread that made it.
final class Replies<T> {
    /// Guards: waiting, last.
    private final ReentrantLock lock = new ReentrantLock();

    private final Map<Long, BlockingQueue<T>> waiting = new HashMap<>();
    private @Nullable T last;

    /// Announces a request, before it is made.
    ///
    /// @param closed what it is answered if this was closed already
    void expect(long request, T closed) {
        BlockingQueue<T> reply = new ArrayBlockingQueue<>(1);
        lock.lock();
        try {
            waiting.put(request, reply);
            if (last != null) {
                reply.add(closed);
            }
        } finally {
            lock.unlock();
        }
    }

    /// Answers a request. Nobody may wait for it any more.
    void put(long request, T reply) {
        lock.lock();
        try {
            BlockingQueue<T> place = waiting.get(request);
            if (place != null && place.isEmpty()) {
                place.add(reply);
            }
        } finally {
            lock.unlock();
        }
    }

    /// Waits for the answer to a request that was announced.
    T take(long request) throws InterruptedException {
        BlockingQueue<T> place;
        lock.lock();
        try {
            place = waiting.get(request);
        } finally {
            lock.unlock();
        }
        if (place == null) {
            throw new IllegalStateException("nobody announced request " + request);
        }
        try {
            return place.take();
        } finally {
            lock.lock();
            try {
                waiting.remove(request);
            } finally {
                lock.unlock();
            }
        }
    }

    /// Answers everything that is under way, and everything that comes later.
    void close(T reply) {
        lock.lock();
        try {
            last = reply;
            waiting.values().forEach(place -> place.offer(reply));
        } finally {
            lock.unlock();
        }
    }
}
