package dev.lockstep.nbd.client;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.Consumer;
import java.util.function.Predicate;

/// The requests of one connection that have no reply yet, found by cookie.
///
/// A cookie is a running number and, in its low bits, the slot; so a stale or invented one is told
/// apart from the request that now has its slot.
final class InFlight {
    private static final int SLOT_BITS = 16;
    private static final int SLOT_MASK = (1 << SLOT_BITS) - 1;

    private final AtomicReferenceArray<@Nullable Request> slots;
    private final Semaphore free;
    private final AtomicInteger sequence = new AtomicInteger();

    InFlight(int max) {
        slots = new AtomicReferenceArray<>(max);
        free = new Semaphore(max);
    }

    /// Gives the request a slot and its cookie; waits while there is none.
    void add(Request request) {
        free.acquireUninterruptibly();
        place(request);
    }

    /// The same if there is a slot.
    boolean tryAdd(Request request) {
        boolean added = free.tryAcquire();
        if (added) {
            place(request);
        }
        return added;
    }

    private void place(Request request) {
        int number = sequence.getAndIncrement();
        int slot = Integer.remainderUnsigned(number, slots.length());
        while (true) {
            request.cookie = (long) number << SLOT_BITS | slot;
            if (slots.compareAndSet(slot, null, request)) {
                return;
            }
            slot = slot + 1 == slots.length() ? 0 : slot + 1;
        }
    }

    /// Frees the slot.
    void remove(Request request) {
        if (slots.compareAndSet((int) request.cookie & SLOT_MASK, request, null)) {
            free.release();
        }
    }

    @Nullable Request find(long cookie) {
        int slot = (int) cookie & SLOT_MASK;
        Request request = slot < slots.length() ? slots.get(slot) : null;
        return request != null && request.cookie == cookie ? request : null;
    }

    int count() {
        return slots.length() - free.availablePermits();
    }

    /// Whether a test is true of one of them; the others are not tested then.
    boolean any(Predicate<Request> test) {
        for (int slot = 0; slot < slots.length(); slot++) {
            Request request = slots.get(slot);
            if (request != null && test.test(request)) {
                return true;
            }
        }
        return false;
    }

    void forEach(Consumer<Request> action) {
        for (int slot = 0; slot < slots.length(); slot++) {
            Request request = slots.get(slot);
            if (request != null) {
                action.accept(request);
            }
        }
    }
}
