package dev.lockstep.block.filter.delay;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;

class DelayTest {
    private static final long READ_MILLIS = 60;
    private static final long WRITE_MILLIS = 40;
    private static final long DISCARD_MILLIS = 20;

    private interface Request {
        void run() throws BlockException;
    }

    private static long millis(Request request) throws BlockException {
        long before = System.nanoTime();
        request.run();
        return (System.nanoTime() - before) / 1_000_000;
    }

    private static void assertTakes(long least, Request request) throws BlockException {
        long took = millis(request);
        assertTrue(took >= least, "%d ms instead of %d".formatted(took, least));
    }

    @Test
    void each_kind_of_request_takes_at_least_what_was_asked_for() throws Exception {
        String options =
                "driver=delay,discard=unmap,read-latency=%d,write-latency=%d,discard-latency=%d,file.driver=memory,file.size=1M"
                        .formatted(READ_MILLIS, WRITE_MILLIS, DISCARD_MILLIS);
        try (Tree tree = Tree.of(options)) {
            Gate gate = tree.gate();
            ByteBuffer bytes = ByteBuffer.allocate(512);
            assertTakes(READ_MILLIS, () -> DiskModel.read(gate, 0, 512));
            assertTakes(WRITE_MILLIS, () -> gate.write(0, bytes, WriteFlag.NONE));
            assertTakes(WRITE_MILLIS, () -> gate.zero(0, 512, WriteFlag.NONE));
            assertTakes(DISCARD_MILLIS, () -> gate.discard(0, 512));
            assertEquals(1 << 20, gate.size());
        }
    }

    @Test
    void what_is_no_time_is_refused() {
        String refusal =
                assertThrows(
                                BlockException.class,
                                () -> Tree.of("driver=delay,flush-latency=1s,file.driver=memory"))
                        .getMessage();
        assertTrue(refusal.startsWith("'flush-latency' is '1s': write a number"), refusal);
    }
}
