package dev.lockstep.block.open;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.graph.Node;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// Trees of options become devices, or one sentence that names the key that is wrong.
class RegistryTest {
    @TempDir Path folder;
    private final Graph graph = new Graph();
    private final Registry registry = Registry.ofCore();
    private Path disk;

    @BeforeEach
    void makeDisk() throws IOException {
        disk = folder.resolve("d");
        byte[] bytes = new byte[4096];
        bytes[1024] = 7;
        Files.write(disk, bytes);
    }

    @Test
    void a_window_of_a_file_is_two_named_nodes_and_an_edge() throws BlockException {
        Options tree =
                tree("driver=raw", "node-name=top", "offset=1K", "size=0x200", "file.driver=file")
                        .with("file.filename", disk.toString());
        try (Opened opened = registry.open(graph, tree, Inherited.NOTHING)) {
            assertEquals("top", opened.root().name());
            assertEquals(List.of("file", "raw"), graph.nodes().stream().map(Node::driver).toList());
            assertEquals(512, opened.root().device().size());
            ByteBuffer first = ByteBuffer.allocate(1);
            opened.root().device().read(0, first);
            assertArrayEquals(new byte[] {7}, first.array());
        }
        assertEquals(List.of(), graph.nodes());
    }

    @Test
    void a_child_may_be_a_node_that_is_open_already() throws BlockException {
        try (Opened base =
                registry.open(
                        graph,
                        tree("driver=memory", "size=1M", "node-name=m"),
                        Inherited.NOTHING)) {
            try (Opened above =
                    registry.open(graph, tree("driver=raw", "file=m"), Inherited.NOTHING)) {
                assertEquals(1 << 20, above.root().device().size());
                assertThrows(BlockException.class, base::close, "in use");
            }
            assertNotNull(graph.node("m"));
        }
        assertRefused("there is no node 'm'", "driver=raw", "file=m");
    }

    @Test
    void what_is_wrong_is_named_by_its_dotted_key_before_anything_is_opened() {
        assertRefused("'driver' is missing", "size=1");
        assertRefused("'file.driver' is missing", "driver=raw", "file.filename=x");
        assertRefused(
                "the driver 'bogus' is not known; there are compress, copy-on-read,",
                "driver=bogus");
        assertRefused("does not know the option 'bogus'", "driver=null-co", "bogus=1");
        assertRefused(
                "does not know the option 'file.cache.dirct'",
                "driver=raw",
                "file.driver=null-co",
                "file.cache.dirct=on");
        assertRefused("the driver 'file' needs 'filename'", "driver=file");
        assertRefused("the driver 'raw' needs the device 'file'", "driver=raw");
        assertRefused("'size': 'x' is no number of bytes", "driver=null-co", "size=x");
        assertRefused("'latency-ns' is '-1'", "driver=null-co", "latency-ns=-1");
        assertRefused("'read-only' is 'maybe'", "driver=null-co", "read-only=maybe");
        assertRefused("write off or on or unmap", "driver=null-co", "detect-zeroes=x");
        assertRefused("needs discard=unmap", "driver=null-co", "detect-zeroes=unmap");
        assertRefused("aio=native needs cache.direct", "driver=file", "filename=x", "aio=native");
        assertRefused("'cache' is a group", "driver=null-co", "cache=none");
    }

    @Test
    void nothing_stays_open_when_a_device_above_cannot_be_opened() throws BlockException {
        Options tree =
                tree("driver=raw", "offset=1M", "file.driver=file")
                        .with("file.filename", disk.toString());
        BlockException refused =
                assertThrows(
                        BlockException.class, () -> registry.open(graph, tree, Inherited.NOTHING));
        assertTrue(refused.getMessage().contains("lies beyond the end"), refused.getMessage());
        assertEquals(List.of(), graph.nodes());
        // A lock that stayed would refuse this.
        registry.open(graph, tree.with("offset", "0"), Inherited.NOTHING).close();
    }

    @Test
    void children_inherit_what_they_are_not_told() throws BlockException {
        Options tree =
                tree("driver=raw", "read-only=on", "file.driver=file")
                        .with("file.filename", disk.toString());
        try (Opened opened = registry.open(graph, tree, Inherited.NOTHING)) {
            assertTrue(graph.nodes().getFirst().device().capabilities().readOnly());
            assertTrue(opened.root().device().capabilities().readOnly());
        }
    }

    @Test
    void discards_are_ignored_unless_they_are_asked_for() throws BlockException {
        assertEquals(Support.NONE, discardOf(tree("driver=memory", "size=1M")));
        assertEquals(Support.NATIVE, discardOf(tree("driver=memory", "size=1M", "discard=unmap")));
        assertEquals(
                Support.NONE, discardOf(tree("driver=raw", "file.driver=memory", "file.size=1M")));
        assertEquals(
                Support.NATIVE,
                discardOf(
                        tree("driver=raw", "discard=unmap", "file.driver=memory", "file.size=1M")));
    }

    @Test
    void detected_zeroes_release_space_only_with_unmap() throws BlockException {
        assertEquals(Extent.Kind.DATA, kindAfterZeroes("detect-zeroes=on"));
        assertEquals(Extent.Kind.HOLE, kindAfterZeroes("detect-zeroes=unmap"));
        assertEquals(Extent.Kind.DATA, kindAfterZeroes("detect-zeroes=off"));
    }

    @Test
    void a_quorum_has_children_by_number() throws BlockException {
        Options tree =
                tree(
                        "driver=quorum",
                        "vote-threshold=1",
                        "children.0.driver=memory",
                        "children.0.size=1M",
                        "children.1.driver=null-co",
                        "children.1.size=1M");
        try (Opened opened = registry.open(graph, tree, Inherited.NOTHING)) {
            assertEquals(2, opened.root().children().size());
        }
        assertRefused("'children.0' is missing", "driver=quorum", "children.1.driver=null-co");
    }

    private Support discardOf(Options tree) throws BlockException {
        try (Opened opened = registry.open(graph, tree, Inherited.NOTHING)) {
            return opened.root().device().capabilities().discard();
        }
    }

    private Extent.Kind kindAfterZeroes(String detect) throws BlockException {
        Options tree = tree("driver=memory", "size=1M", "discard=unmap", detect);
        try (Opened opened = registry.open(graph, tree, Inherited.NOTHING)) {
            Gate gate = new Gate(opened.root().device());
            byte[] ones = new byte[1 << 16];
            ones[5] = 1;
            gate.write(0, ByteBuffer.wrap(ones), WriteFlag.NONE);
            gate.write(0, ByteBuffer.wrap(new byte[1 << 16]), WriteFlag.NONE);
            return gate.extents(0, 1 << 16).getFirst().kind();
        }
    }

    private void assertRefused(String reason, String... options) {
        BlockException refused =
                assertThrows(
                        BlockException.class,
                        () -> registry.open(graph, tree(options), Inherited.NOTHING));
        assertTrue(refused.getMessage().contains(reason), refused.getMessage());
        assertEquals(List.of(), graph.nodes());
    }

    private static Options tree(String... options) {
        Options tree = Options.EMPTY;
        for (String option : options) {
            int equals = option.indexOf('=');
            tree = tree.with(option.substring(0, equals), option.substring(equals + 1));
        }
        return tree;
    }
}
