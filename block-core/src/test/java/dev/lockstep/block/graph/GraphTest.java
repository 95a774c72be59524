package dev.lockstep.block.graph;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.raw.RawDevice;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

class GraphTest {
    private static final int SIZE = 1 << 16;

    private final Graph graph = new Graph();
    private final Node disk = add("disk", "memory", new MemoryDevice(SIZE));
    private final Gate edge = graph.connect(disk, false);
    private final Node raw = add("raw", "raw", RawDevice.whole(edge), edge);
    private final Gate root = graph.connect(raw, false);

    private Node add(String name, String driver, BlockDevice device, Gate... c) {
        try {
            Map<String, Gate> children = new LinkedHashMap<>();
            for (Gate child : c) {
                children.put("child" + children.size(), child);
            }
            Node node = new Node(name, driver, "", device, children);
            graph.add(node);
            return node;
        } catch (BlockException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void nodes_are_found_by_name_and_names_are_unique() {
        assertSame(raw, graph.node("raw"));
        assertNull(graph.node("none"));
        assertEquals(List.of(disk, raw), graph.nodes());
        assertEquals(raw, graph.target(root));
        BlockDeviceContract.assertKind(
                Kind.INVALID,
                () -> graph.add(new Node("raw", "memory", "", new MemoryDevice(1), Map.of())));
        assertNotEquals(graph.freshName(), graph.freshName());
    }

    @Test
    void draining_a_node_shuts_the_roots_above_it() throws Exception {
        try (var _ = graph.drain(disk)) {
            assertFalse(root.readNow(0, ByteBuffer.allocate(1)));
            try (var _ = graph.drain(raw)) {
                assertFalse(root.readNow(0, ByteBuffer.allocate(1)));
            }
            assertFalse(root.readNow(0, ByteBuffer.allocate(1)));
        }
        assertTrue(root.readNow(0, ByteBuffer.allocate(1)));
    }

    @Test
    void another_thread_changes_the_graph_when_the_drain_is_over_and_looks_at_any_time()
            throws Exception {
        AtomicBoolean drained = new AtomicBoolean();
        Thread other;
        try (var _ = graph.drain(disk)) {
            other =
                    Thread.startVirtualThread(
                            () -> {
                                graph.nodes();
                                try (var _ = graph.drain(disk)) {
                                    drained.set(true);
                                }
                            });
            assertFalse(other.join(Duration.ofMillis(20)));
        }
        assertTrue(other.join(Duration.ofSeconds(10)));
        assertTrue(drained.get());
    }

    @Test
    void a_filter_is_put_in_and_taken_out_below_running_requests() throws Exception {
        Gate below = graph.connect(disk, false);
        FaultDevice faults = new FaultDevice(below);
        Node filter = add("filter", "fault", faults, below);
        AtomicBoolean running = new AtomicBoolean(true);
        BlockDeviceContract.runAll(
                5,
                worker -> {
                    while (worker > 0 && running.get()) {
                        root.write(worker, ByteBuffer.allocate(8), WriteFlag.NONE);
                        // A virtual thread that never waits keeps its carrier, and there are few.
                        LockSupport.parkNanos(1);
                    }
                    for (int round = 0; worker == 0 && round < 300; round++) {
                        graph.replace(disk, filter);
                        assertEquals(filter, graph.target(edge));
                        assertEquals(disk, graph.target(below));
                        graph.replace(filter, disk);
                    }
                    running.set(false);
                });
        assertEquals(disk, graph.target(edge));
        graph.remove(filter);
        assertEquals(List.of(disk, raw), graph.nodes());
    }

    @Test
    void a_node_in_use_cannot_be_removed() throws Exception {
        BlockDeviceContract.assertKind(Kind.INVALID, () -> graph.remove(disk));
        BlockDeviceContract.assertKind(Kind.INVALID, () -> graph.remove(raw));
        graph.disconnect(root);
        graph.remove(raw);
        graph.remove(disk);
        assertEquals(List.of(), graph.nodes());
        assertThrows(IllegalArgumentException.class, () -> graph.drain(disk));
    }

    @Test
    void disconnecting_waits_for_the_root_alone() throws Exception {
        Gate below = graph.connect(disk, false);
        FaultDevice faults = new FaultDevice(below);
        Gate busy = graph.connect(add("slow", "fault", faults, below), false);
        var held = faults.add(Fault.hold());
        Thread flusher = Thread.startVirtualThread(() -> assertDoesNotFail(busy::flush));
        await().until(() -> held.hits() == 1);
        graph.disconnect(root);
        held.remove();
        assertTrue(flusher.join(Duration.ofSeconds(10)));
    }

    @Test
    void a_request_that_would_wait_for_itself_is_caught() {
        Requests selfish =
                new Requests() {
                    private final MemoryDevice memory = new MemoryDevice(SIZE);

                    @Override
                    public MemoryDevice memory() {
                        return memory;
                    }

                    @Override
                    public void serve() {
                        graph.drain(disk).close();
                    }
                };
        Gate gate = graph.connect(add("selfish", "test", selfish), false);
        assertThrows(AssertionError.class, gate::flush);
    }

    private static void assertDoesNotFail(BlockDeviceContract.Request request) {
        try {
            request.run();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }
}
