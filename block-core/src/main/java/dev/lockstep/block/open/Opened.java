package dev.lockstep.block.open;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.filter.detectzeroes.DetectZeroesDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.graph.Node;
import dev.lockstep.block.open.Inherited.DetectZeroes;

import java.util.ArrayList;
import java.util.List;

/// The nodes that one tree of options became.
///
/// [#close] takes them out of the graph and closes them, the root first. Whatever was connected to
/// them must be disconnected by then. Nodes that the tree only named stay open.
public final class Opened implements AutoCloseable {
    private final Graph graph;

    /// Children before their parents; the root is the last.
    private final List<Node> nodes = new ArrayList<>();

    private Opened(Graph graph) {
        this.graph = graph;
    }

    static Opened open(Graph graph, Plan plan) throws BlockException {
        Opened opened = new Opened(graph);
        try {
            opened.add(plan);
            return opened;
        } catch (BlockException e) {
            try {
                opened.close();
            } catch (BlockException second) {
                e.addSuppressed(second);
            }
            throw e;
        }
    }

    /// The node at the top.
    public Node root() {
        return nodes.getLast();
    }

    @Override
    public void close() throws BlockException {
        while (!nodes.isEmpty()) {
            graph.remove(nodes.getLast());
            nodes.removeLast();
        }
    }

    private Node add(Plan plan) throws BlockException {
        List<Gate> gates = new ArrayList<>();
        boolean added = false;
        try {
            for (Edge edge : plan.edges()) {
                Gate gate = graph.connect(target(edge), edge.readOnly());
                gates.add(gate);
                edge.connect(gate);
            }
            BlockDevice device = plan.opening().open();
            Node node = addOrClose(plan, device, gates);
            nodes.add(node);
            added = true;
            return node;
        } finally {
            if (!added) {
                gates.forEach(graph::disconnect);
            }
        }
    }

    private Node addOrClose(Plan plan, BlockDevice device, List<Gate> gates) throws BlockException {
        String name = plan.name().isEmpty() ? graph.freshName() : plan.name();
        try {
            return graph.add(
                    name, plan.driver(), withPolicies(plan, device), gates.toArray(Gate[]::new));
        } catch (BlockException e) {
            device.close();
            throw e;
        }
    }

    private Node target(Edge edge) throws BlockException {
        return switch (edge.target()) {
            case Edge.Described(Plan plan) -> add(plan);
            case Edge.Named(String name) -> {
                Node found = graph.node(name);
                if (found == null) {
                    throw new BlockException(Kind.INVALID, "there is no node '%s'".formatted(name));
                }
                yield found;
            }
        };
    }

    /// Adds what the common options ask for and the device does not do by itself.
    private static BlockDevice withPolicies(Plan plan, BlockDevice device) {
        Inherited asked = plan.common().inheritable();
        BlockDevice top = device;
        if (!asked.unmap() && device.capabilities().discard() == Support.NATIVE) {
            top = new IgnoringDiscard(top);
        }
        if (asked.detectZeroes() != DetectZeroes.OFF) {
            top = new DetectZeroesDevice(new Gate(top), asked.detectZeroes() == DetectZeroes.UNMAP);
        }
        return top.equals(device) ? device : new Owning(top, device);
    }
}
