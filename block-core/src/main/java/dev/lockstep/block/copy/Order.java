package dev.lockstep.block.copy;

import java.util.concurrent.Semaphore;
import java.util.stream.Stream;

/// Lets workers take turns in the order of the pieces that they have.
///
/// Pieces are numbered from 0 without gaps, each worker has one at a time and passes its turn on
/// exactly once. So those who wait are no further apart than there are workers, and each has a
/// place of its own on a ring: nobody is woken in vain.
final class Order {
    private final Semaphore[] ring;
    private volatile boolean ended;

    /// An order for so many workers; with less than two there is nothing to order.
    Order(int workers) {
        ring = Stream.generate(() -> new Semaphore(0)).limit(workers).toArray(Semaphore[]::new);
        pass(-1);
    }

    /// Waits for the turn of a piece.
    ///
    /// @return false if it will never come
    boolean await(long number) {
        if (ring.length > 1) {
            place(number).acquireUninterruptibly();
        }
        return !ended;
    }

    /// Ends the turn of a piece.
    void pass(long number) {
        if (ring.length > 1) {
            place(number + 1).release();
        }
    }

    /// Ends it for all: somebody gives up a turn.
    void end() {
        ended = true;
        for (Semaphore place : ring) {
            place.release(ring.length);
        }
    }

    private Semaphore place(long number) {
        return ring[(int) (number % ring.length)];
    }
}
