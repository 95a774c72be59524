package dev.lockstep.block.filter.fault;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReference;

class FaultDeviceTest extends BlockDeviceContract {
    private final FaultDevice device = new FaultDevice(new Gate(new MemoryDevice(1 << 20)));
    private final Gate gate = new Gate(device);

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        Gate disk = new Gate(new MemoryDevice(contents.length));
        fill(disk, contents);
        return new FaultDevice(disk);
    }

    @Test
    void the_third_write_that_touches_a_range_fails_and_says_that_it_was_made_to()
            throws Exception {
        var rule =
                device.add(
                        Fault.error(Kind.NO_SPACE)
                                .on(Operation.WRITE)
                                .in(4096, 512)
                                .after(2)
                                .times(1));
        write(4607, 1);
        write(4095, 1);
        write(4608, 1);
        gate.read(4096, ByteBuffer.allocate(1));
        write(0, 8192);
        assertEquals(0, rule.hits());
        BlockException e = assertThrows(BlockException.class, () -> write(4095, 2));
        assertEquals(Kind.NO_SPACE, e.kind());
        assertTrue(e.getMessage().contains("injected fault"), e.getMessage());
        write(4095, 2);
        assertEquals(1, rule.hits());
    }

    @Test
    void a_fault_by_chance_picks_the_same_requests_for_the_same_seed() throws Exception {
        String first = failedReads(0.3, 7);
        assertEquals(first, failedReads(0.3, 7));
        assertFalse(first.equals(failedReads(0.3, 8)), "another seed picks others");
        long failed = first.chars().filter(c -> c == 'x').count();
        assertTrue(failed > 200 && failed < 400, failed + " of 1000 failed");
        assertEquals(".".repeat(1000), failedReads(0, 7));
        assertEquals("x".repeat(1000), failedReads(1, 7));
    }

    private String failedReads(double probability, long seed) throws BlockException {
        var rule = device.add(Fault.error(Kind.IO).sometimes(probability, seed));
        StringBuilder outcome = new StringBuilder();
        for (int i = 0; i < 1000; i++) {
            try {
                gate.read(0, ByteBuffer.allocate(1));
                outcome.append('.');
            } catch (BlockException _) {
                outcome.append('x');
            }
        }
        rule.remove();
        return outcome.toString();
    }

    @Test
    void a_late_error_comes_after_the_request_was_carried_out() throws Exception {
        device.add(Fault.error(Kind.IO).on(Operation.WRITE).afterwards());
        assertKind(Kind.IO, () -> write(10, 1));
        assertEquals(1, DiskModel.read(gate, 10, 1)[0]);
    }

    @Test
    void a_held_request_waits_for_its_rule_to_be_removed() throws Exception {
        var rule = device.add(Fault.hold().on(Operation.FLUSH));
        Thread flusher = Thread.startVirtualThread(() -> unchecked(gate::flush));
        await().until(() -> rule.hits() == 1);
        write(0, 1);
        assertFalse(flusher.join(Duration.ofMillis(20)));
        rule.remove();
        assertTrue(flusher.join(Duration.ofSeconds(10)));
    }

    @Test
    void failing_the_edge_aborts_what_is_held() throws Exception {
        var rule = device.add(Fault.hold().on(Operation.READ));
        AtomicReference<Kind> kind = new AtomicReference<>();
        Thread reader =
                Thread.startVirtualThread(
                        () -> {
                            try {
                                gate.read(0, ByteBuffer.allocate(1));
                            } catch (BlockException e) {
                                kind.set(e.kind());
                            }
                        });
        await().until(() -> rule.hits() == 1);
        gate.fail(new BlockException(Kind.TIMEOUT, "too slow"));
        assertTrue(reader.join(Duration.ofSeconds(10)));
        assertEquals(Kind.TIMEOUT, kind.get());
        assertEquals(0, gate.inFlight());
    }

    @Test
    void a_delay_lets_the_request_pass_after_its_time() throws Exception {
        device.add(Fault.delay(Duration.ofMillis(30)).on(Operation.ZERO));
        long start = System.nanoTime();
        gate.zero(0, 512, WriteFlag.NONE);
        assertTrue(System.nanoTime() - start >= Duration.ofMillis(30).toNanos());
    }

    @Test
    void a_request_that_a_rule_might_pick_is_not_done_at_once() throws Exception {
        assertTrue(gate.writeNow(0, ByteBuffer.allocate(512)));
        var rule = device.add(Fault.error(Kind.IO).on(Operation.WRITE));
        assertFalse(gate.writeNow(0, ByteBuffer.allocate(512)));
        assertTrue(gate.readNow(0, ByteBuffer.allocate(512)));
        rule.remove();
        assertTrue(gate.writeNow(0, ByteBuffer.allocate(512)));
    }

    private void write(long offset, int length) throws BlockException {
        byte[] ones = new byte[length];
        Arrays.fill(ones, (byte) 1);
        gate.write(offset, ByteBuffer.wrap(ones), WriteFlag.NONE);
    }

    private static void unchecked(Request request) {
        try {
            request.run();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }
}
