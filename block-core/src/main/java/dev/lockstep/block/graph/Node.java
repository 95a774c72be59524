package dev.lockstep.block.graph;

import dev.lockstep.block.BlockDevice;

import java.util.List;

/// A device in a graph, by the name that people and the monitor call it.
///
/// @param name unique in its graph
/// @param driver what kind of device it is: `raw`, `file`, `quorum`
/// @param device the device itself, which the graph closes when the node is removed
/// @param children the edges to the devices that it uses
public record Node(String name, String driver, BlockDevice device, List<Gate> children) {
    /// Keeps its own list of the children.
    public Node {
        children = List.copyOf(children);
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
