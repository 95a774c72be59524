package dev.lockstep.block.open;

import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

/// A child that a driver asked for while its options were read. It is connected before the driver
/// opens its device.
public final class Edge {
    /// Where it leads to.
    sealed interface Target {}

    /// A node that is opened together with its parent.
    record Described(Plan plan) implements Target {}

    /// A node that is open already.
    record Named(String nodeName) implements Target {}

    private final String role;
    private final Target target;
    private final boolean readOnly;
    private @Nullable Gate gate;

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

    Target target() {
        return target;
    }

    boolean readOnly() {
        return readOnly;
    }

    void connect(Gate made) {
        gate = made;
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
}
