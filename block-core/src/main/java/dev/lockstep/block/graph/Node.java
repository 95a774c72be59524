package dev.lockstep.block.graph;

import dev.lockstep.block.BlockDevice;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/// A device in a graph, by the name that people and the monitor call it.
///
/// @param name unique in its graph
/// @param driver what kind of device it is: `raw`, `file`, `quorum`
/// @param filename the file at the bottom of it, as it was given; empty if there is none. Names in
///     an image are relative to its folder
/// @param device what its users reach, which the graph closes when the node is removed
/// @param bare the device itself, without the filters that its common options put around it: for
///     what only its driver can do
/// @param children the edges to the devices that it uses, by what they are to it: `file`, `backing`
public record Node(
        String name,
        String driver,
        String filename,
        BlockDevice device,
        BlockDevice bare,
        Map<String, Gate> children) {
    /// Keeps its own map of the children, in the given order.
    public Node {
        children = Collections.unmodifiableMap(new LinkedHashMap<>(children));
    }

    /// A node without such filters.
    public Node(
            String name,
            String driver,
            String filename,
            BlockDevice device,
            Map<String, Gate> children) {
        this(name, driver, filename, device, device, children);
    }

    /// Nodes are equal if they are the same.
    @Override
    public boolean equals(Object other) {
        return this == other;
    }

    @Override
    public int hashCode() {
        return System.identityHashCode(this);
    }

    @Override
    public String toString() {
        return name;
    }
}
