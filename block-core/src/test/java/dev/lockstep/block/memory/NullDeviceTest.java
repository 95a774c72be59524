package dev.lockstep.block.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;

class NullDeviceTest {
    private static final int SIZE = 1 << 20;

    @Test
    void what_is_read_is_zero_whatever_was_in_the_buffer() throws Exception {
        Gate disk = new Gate(new NullDevice(SIZE, Duration.ZERO, true));
        byte[] bytes = new byte[SIZE];
        Arrays.fill(bytes, (byte) 1);
        disk.write(0, ByteBuffer.wrap(bytes), WriteFlag.NONE);
        assertTrue(disk.readNow(0, ByteBuffer.wrap(bytes)));
        assertArrayEquals(new byte[SIZE], bytes);
        assertEquals(List.of(Extent.of(5, 10, Extent.Kind.ZERO)), disk.extents(5, 10));
    }

    @Test
    void a_latency_is_kept_and_not_on_a_thread_that_must_not_wait() throws Exception {
        Duration latency = Duration.ofMillis(5);
        Gate disk = new Gate(new NullDevice(SIZE, latency, false));
        assertFalse(disk.readNow(0, ByteBuffer.allocate(1)));
        assertFalse(disk.writeNow(0, ByteBuffer.allocate(1)));
        long start = System.nanoTime();
        disk.read(0, ByteBuffer.allocate(1));
        assertTrue(System.nanoTime() - start >= latency.toNanos());
        assertEquals(List.of(Extent.of(0, 10, Extent.Kind.DATA)), disk.extents(0, 10));
    }
}
