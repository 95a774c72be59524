package dev.lockstep.image;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
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
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.bitmaps.PersistentBitmap;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;

/// A disk that a person named, open: the nodes of a graph, the image's own and what was put above
/// it. It is how every command opens a disk.
///
/// ```java
/// Registry drivers = Drivers.all();
/// ImageSpec spec = new ImageSpec("disk.qcow2", null, false);
/// try (OpenImage image = OpenImage.open(spec, Inherited.NOTHING.withReadOnly(true), drivers)) {
///     Gate disk = image.connect(true);
///     ... disk.read(...), image.image().driver(), image.graph() ...
/// }
/// ```
public final class OpenImage implements AutoCloseable {
    /// What a guest writes together mostly lies together; QEMU's default for its own overlays.
    private static final int SNAPSHOT_CLUSTER_BYTES = 64 << 10;

    private final Graph graph = new Graph();
    private final Registry registry;
    private final Inherited defaults;
    private final Opened opened;
    private final Deque<AutoCloseable> layers = new ArrayDeque<>();

    /// Opens a disk: any format, with whatever files and servers the format or the options name.
    ///
    /// @param spec what its user said
    /// @param defaults how it is opened, as far as its user did not say
    /// @param drivers [Drivers#all]
    /// @throws IllegalArgumentException with one sentence if what the user said makes no sense
    /// @throws BlockException with one sentence if it cannot be opened; nothing stays open then
    public static OpenImage open(ImageSpec spec, Inherited defaults, Registry drivers)
            throws BlockException {
        return open(spec.tree(), defaults, drivers);
    }

    /// Opens a disk whose options are known.
    ///
    /// @throws BlockException with one sentence if it cannot be opened; nothing stays open then
    public static OpenImage open(Options tree, Inherited defaults, Registry drivers)
            throws BlockException {
        return new OpenImage(tree, defaults, drivers);
    }

    private OpenImage(Options tree, Inherited defaults, Registry registry) throws BlockException {
        this.defaults = defaults;
        this.registry = registry;
        this.opened = registry.open(graph, tree, defaults);
        layers.push(opened);
    }

    /// The graph that it is in.
    public Graph graph() {
        return graph;
    }

    /// The image's own node. Its driver is its format, or `file` and the like for a raw image whose
    /// format was named.
    public Node image() {
        return opened.root();
    }

    /// Tells the user which files were guessed to be raw and can be written to, in words of QEMU's
    /// that scripts look for.
    public void warnOfGuesses() {
        warnOfGuesses(opened);
    }

    /// The same for what was opened otherwise.
    public static void warnOfGuesses(Opened opened) {
        opened.guessedRaw().forEach(OpenImage::warn);
    }

    private static void warn(String file) {
        System.err.print(
                """
                WARNING: Image format was not specified for '%s' and probing guessed raw.
                         Automatically detecting the format is dangerous for raw images,\
                 write operations on block 0 will be restricted.
                         Specify the 'raw' format explicitly to remove the restrictions.
                """
                        .formatted(file));
    }

    private Node top() {
        return graph.nodes().getLast();
    }

    /// A dirty bitmap of the image, or of the next one below it that has one of this name.
    ///
    /// @throws BlockException if there is none
    public PersistentBitmap bitmap(String name) throws BlockException {
        Node node = image();
        while (node != null) {
            PersistentBitmap found =
                    node.bare() instanceof Qcow2Device disk ? disk.bitmaps().find(name) : null;
            if (found != null) {
                return found;
            }
            Gate backing = node.children().get("backing");
            node = backing == null ? null : graph.target(backing);
        }
        throw new BlockException(
                Kind.INVALID,
                "neither %s nor an image below it has a bitmap '%s'"
                        .formatted(image().device().description(), name));
    }

    /// Puts a device on top that the registry knows; its `file` is what has been on top.
    public void cover(Options tree) throws BlockException {
        layers.push(registry.open(graph, tree.with("file", top().name()), defaults));
    }

    /// Puts an overlay on top that takes all writes, in files that go with the process.
    public void snapshot(BufferStore store) throws BlockException {
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
    public void writeThrough() throws BlockException {
        Gate edge = graph.connect(top(), false);
        addNode("write-through", new WriteThroughDevice(edge), edge);
    }

    /// The edge that clients go through.
    public Gate connect(boolean readOnly) {
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
        Node node =
                new Node(
                        graph.freshName(), driver, top().filename(), device, Map.of("file", below));
        graph.add(node);
        layers.push(() -> graph.remove(node));
    }
}
