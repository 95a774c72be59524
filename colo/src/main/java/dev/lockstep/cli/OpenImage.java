package dev.lockstep.cli;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.filter.probe.ImageFormat;
import dev.lockstep.block.filter.probe.ProbedDevice;
import dev.lockstep.block.filter.writethrough.WriteThroughDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.graph.Node;
import dev.lockstep.block.open.Inherited;
import dev.lockstep.block.open.Opened;
import dev.lockstep.block.open.Options;
import dev.lockstep.block.open.Registry;
import dev.lockstep.block.overlay.BufferOverlay;
import dev.lockstep.block.overlay.BufferStore;
import dev.lockstep.block.overlay.ByteBudget;
import dev.lockstep.nbd.client.NbdOpener;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Set;
import java.util.TreeSet;

/// A disk that is being put together: the nodes of a graph, and what is above them all.
final class OpenImage implements AutoCloseable {
    /// What a guest writes together mostly lies together; QEMU's default for its own overlays.
    private static final int SNAPSHOT_CLUSTER_BYTES = 64 << 10;

    private final Graph graph = new Graph();
    private final Registry registry;
    private final Inherited defaults;
    private final Deque<AutoCloseable> layers = new ArrayDeque<>();

    /// Opens a disk whose tree says what it is.
    ///
    /// @param objects what the tree may name
    static OpenImage open(Options tree, Inherited defaults, UserObjects objects)
            throws BlockException {
        OpenImage image = new OpenImage(defaults, objects);
        Opened top = image.registry.open(image.graph, tree, defaults);
        image.layers.push(top);
        return image;
    }

    private OpenImage(Inherited defaults, UserObjects objects) {
        this.defaults = defaults;
        this.registry = drivers(objects);
    }

    private static Registry drivers(UserObjects objects) {
        return Registry.ofCore().with("nbd", new NbdOpener(objects::findCredentials));
    }

    /// Every driver that a user may name.
    static Set<String> driverNames() {
        return new TreeSet<>(drivers(UserObjects.NONE).drivers());
    }

    private Node top() {
        return graph.nodes().getLast();
    }

    /// What the first sector looks like.
    ImageFormat probe() throws BlockException {
        Gate edge = graph.connect(top(), true);
        try {
            byte[] head = new byte[(int) Math.min(ImageFormat.PROBE_BYTES, edge.size())];
            edge.read(0, ByteBuffer.wrap(head));
            return ImageFormat.of(head);
        } finally {
            graph.disconnect(edge);
        }
    }

    /// Puts a guard on top: the first sector of a disk that only looks raw must go on looking so.
    void guard() throws BlockException {
        Gate edge = graph.connect(top(), false);
        addNode("raw", new ProbedDevice(edge), edge);
    }

    /// Puts a device on top that the registry knows; its `file` is what has been on top.
    void cover(Options tree) throws BlockException {
        layers.push(registry.open(graph, tree.with("file", top().name()), defaults));
    }

    /// Puts an overlay on top that takes all writes, in files that go with the process.
    void snapshot(BufferStore store) throws BlockException {
        Gate backing = graph.connect(top(), true);
        BlockDevice changes;
        try {
            changes = store.create("snapshot", backing.size());
        } catch (BlockException e) {
            graph.disconnect(backing);
            throw e;
        }
        addNode(
                "snapshot",
                new BufferOverlay(
                        "snapshot of " + backing.description(),
                        backing,
                        changes,
                        SNAPSHOT_CLUSTER_BYTES,
                        ByteBudget.unlimited()),
                backing);
    }

    /// Makes every write durable before it is answered.
    void writeThrough() throws BlockException {
        Gate edge = graph.connect(top(), false);
        addNode("write-through", new WriteThroughDevice(edge), edge);
    }

    /// The edge that clients go through.
    Gate connect(boolean readOnly) {
        Gate root = graph.connect(top(), readOnly);
        layers.push(
                () -> {
                    try {
                        if (!root.capabilities().readOnly()) {
                            root.flush();
                        }
                    } finally {
                        graph.disconnect(root);
                    }
                });
        return root;
    }

    /// Flushes and closes everything, from the top down, whatever fails.
    @Override
    public void close() throws IOException {
        IOException failure = null;
        while (!layers.isEmpty()) {
            try {
                layers.pop().close();
            } catch (Exception e) {
                IOException told = e instanceof IOException io ? io : new IOException(e);
                if (failure == null) {
                    failure = told;
                } else {
                    failure.addSuppressed(told);
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    private void addNode(String driver, BlockDevice device, Gate below) throws BlockException {
        Node node = graph.add(graph.freshName(), driver, device, below);
        layers.push(() -> graph.remove(node));
    }
}
