package dev.lockstep.block.graph;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.memory.MemoryDevice;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

class GateTest {
    private static final int SIZE = 1 << 16;

    private final FaultDevice device = new FaultDevice(new Gate(new MemoryDevice(SIZE)));
    private final Gate gate = new Gate(device);

    @Test
    void a_shut_gate_makes_requests_wait_and_answers_no_at_once() throws Exception {
        gate.shut();
        assertFalse(gate.readNow(0, ByteBuffer.allocate(1)));
        assertFalse(gate.writeNow(0, ByteBuffer.allocate(1)));
        Thread reader = inBackground(() -> gate.read(0, ByteBuffer.allocate(1)), null);
        assertFalse(reader.join(Duration.ofMillis(20)));
        gate.open();
        assertTrue(reader.join(Duration.ofSeconds(10)));
        assertEquals(0, gate.inFlight());
    }

    @Test
    void it_opens_when_everybody_who_shut_it_has_opened_it() throws Exception {
        gate.drain();
        gate.drain();
        gate.open();
        assertFalse(gate.readNow(0, ByteBuffer.allocate(1)));
        gate.open();
        assertTrue(gate.readNow(0, ByteBuffer.allocate(1)));
        assertThrows(IllegalStateException.class, gate::open);
    }

    @Test
    void draining_waits_for_the_requests_in_flight() throws Exception {
        var held = device.add(Fault.hold().on(Operation.FLUSH));
        Thread flusher = inBackground(gate::flush, null);
        await().until(() -> held.hits() == 1);
        Thread drainer = inBackground(gate::drain, null);
        assertFalse(drainer.join(Duration.ofMillis(20)));
        assertEquals(1, gate.inFlight());
        held.remove();
        assertTrue(drainer.join(Duration.ofSeconds(10)));
        assertTrue(flusher.join(Duration.ofSeconds(10)));
    }

    @Test
    void failing_it_ends_the_requests_that_wait_and_those_in_flight() throws Exception {
        var held = device.add(Fault.hold().on(Operation.FLUSH));
        AtomicReference<@Nullable Kind> inside = new AtomicReference<>();
        AtomicReference<@Nullable Kind> outside = new AtomicReference<>();
        Thread flusher = inBackground(gate::flush, inside);
        await().until(() -> held.hits() == 1);
        gate.shut();
        Thread reader = inBackground(() -> gate.read(0, ByteBuffer.allocate(1)), outside);
        assertFalse(reader.join(Duration.ofMillis(20)));
        gate.fail(new BlockException(Kind.TIMEOUT, "too slow"));
        gate.fail(new BlockException(Kind.IO, "not the first"));
        assertTrue(reader.join(Duration.ofSeconds(10)));
        assertTrue(flusher.join(Duration.ofSeconds(10)));
        assertEquals(Kind.TIMEOUT, outside.get());
        assertEquals(Kind.TIMEOUT, inside.get());
        gate.open();
        BlockDeviceContract.assertKind(Kind.TIMEOUT, gate::flush);
        assertFalse(gate.readNow(0, ByteBuffer.allocate(1)));
    }

    @Test
    void replacing_the_device_heals_a_failed_gate() throws Exception {
        gate.fail(new BlockException(Kind.IO, "broken"));
        gate.drain();
        gate.replace(new MemoryDevice(SIZE));
        gate.open();
        assertNull(gate.failure());
        gate.flush();
    }

    @Test
    void only_a_drained_gate_takes_another_device_and_only_one_of_its_size() {
        assertThrows(IllegalStateException.class, () -> gate.replace(new MemoryDevice(SIZE)));
        gate.drain();
        assertThrows(IllegalArgumentException.class, () -> gate.replace(new MemoryDevice(1)));
    }

    /// A device that knows when it may be used, and how often it was.
    private static final class Shift implements Requests {
        private final MemoryDevice memory = new MemoryDevice(SIZE);
        private final AtomicLong served = new AtomicLong();
        private volatile boolean onDuty;

        @Override
        public MemoryDevice memory() {
            return memory;
        }

        @Override
        public void serve() throws BlockException {
            if (!onDuty) {
                throw new BlockException(Kind.GONE, "used while not behind the gate");
            }
            served.incrementAndGet();
        }
    }

    @Test
    void no_request_is_lost_or_reaches_a_device_that_was_replaced() throws Exception {
        Shift[] shifts = {new Shift(), new Shift(), new Shift()};
        shifts[0].onDuty = true;
        Gate busy = new Gate(shifts[0]);
        AtomicLong made = new AtomicLong();
        AtomicBoolean changing = new AtomicBoolean(true);
        BlockDeviceContract.runAll(
                14,
                worker -> {
                    if (worker == 0) {
                        replaceOften(busy, shifts);
                        changing.set(false);
                    } else if (worker == 1) {
                        while (changing.get()) {
                            busy.drain();
                            busy.open();
                            LockSupport.parkNanos(1);
                        }
                    } else {
                        while (changing.get()) {
                            request(busy, worker % 3);
                            made.incrementAndGet();
                            // A virtual thread that never waits keeps its carrier.
                            LockSupport.parkNanos(1);
                        }
                    }
                });
        long served = 0;
        for (Shift shift : shifts) {
            served += shift.served.get();
        }
        assertEquals(made.get(), served);
        assertEquals(0, busy.inFlight());
    }

    private static void replaceOften(Gate busy, Shift[] shifts) {
        for (int round = 0; round < 2000; round++) {
            busy.drain();
            shifts[round % 3].onDuty = false;
            shifts[(round + 1) % 3].onDuty = true;
            busy.replace(shifts[(round + 1) % 3]);
            busy.open();
        }
    }

    private static void request(Gate busy, int kind) throws BlockException {
        ByteBuffer buffer = ByteBuffer.allocate(16);
        switch (kind) {
            case 0 -> busy.read(0, buffer);
            case 1 -> {
                if (!busy.writeNow(0, buffer)) {
                    busy.write(0, buffer, WriteFlag.NONE);
                }
            }
            default -> busy.startWrite(0, buffer, Set.of()).await();
        }
    }

    /// Runs a request on a virtual thread; what it failed with goes to `failure`.
    private static Thread inBackground(
            BlockDeviceContract.Request request,
            @Nullable AtomicReference<@Nullable Kind> failure) {
        return Thread.startVirtualThread(
                () -> {
                    try {
                        request.run();
                    } catch (BlockException e) {
                        if (failure != null) {
                            failure.set(e.kind());
                        }
                    } catch (Exception e) {
                        throw new AssertionError(e);
                    }
                });
    }
}
