package dev.lockstep.block.open;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.graph.Node;

import org.jspecify.annotations.Nullable;

import java.util.Set;

/// A child that a driver asked for while its options were read. It is connected before the driver
/// opens its device.
public final class Edge {
    /// Where it leads to.
    sealed interface Target {}

    /// A node that is opened together with its parent.
    record Described(Plan plan) implements Target {}

    /// A node that is open already.
    record Named(String nodeName) implements Target {}

    /// What the child is called whose file a device's own names are relative to.
    private static final Set<String> PRIMARY = Set.of("file", "image");

    private final String role;
    private final Target target;
    private final boolean readOnly;
    private @Nullable Gate gate;
    private @Nullable Graph within;

    /// Leads nowhere yet.
    ///
    /// @param role what the child is to its parent: `file`, `children.1`
    Edge(String role, Target target, boolean readOnly) {
        this.role = role;
        this.target = target;
        this.readOnly = readOnly;
    }

    String role() {
        return role;
    }

    /// Whether its file counts as its parent's: a format's `file`, a filter's `image`.
    boolean isPrimary() {
        return PRIMARY.contains(role);
    }

    Target target() {
        return target;
    }

    boolean readOnly() {
        return readOnly;
    }

    void connect(Gate made, Graph graph) {
        gate = made;
        within = graph;
    }

    /// The gate to the child. Each request of the parent goes through it.
    ///
    /// @throws IllegalStateException while the parent's options are still being read
    public Gate gate() {
        Gate made = gate;
        if (made == null) {
            throw new IllegalStateException("the child is not open yet");
        }
        return made;
    }

    /// The child itself, without the filters that its common options put around it: for what only
    /// its driver can do.
    public BlockDevice bare() {
        Node node = within == null ? null : within.target(gate());
        return node == null ? gate().device() : node.bare();
    }

    /// Which layer of the child's chain of backing images a node is: the child itself is 1, its
    /// backing image 2. Filters lie between layers. 0 if it is none of them.
    public int layer(String nodeName) {
        int layer = 1;
        Gate edge = gate();
        while (edge != null) {
            Node node = within == null ? null : within.target(edge);
            if (node == null) {
                return 0;
            }
            if (node.name().equals(nodeName)) {
                return layer;
            }
            boolean filter = node.bare() instanceof FilterDevice;
            edge = node.children().get(filter ? "file" : "backing");
            layer += filter ? 0 : 1;
        }
        return 0;
    }
}
