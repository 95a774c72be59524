package dev.lockstep.block.open;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.filter.detectzeroes.DetectZeroesDevice;
import dev.lockstep.block.filter.probe.ImageFormat;
import dev.lockstep.block.filter.probe.ProbedDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.graph.Node;
import dev.lockstep.block.open.Inherited.DetectZeroes;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// The nodes that one tree of options became.
///
/// [#close] takes them out of the graph and closes them, the root first. Whatever was connected to
/// them must be disconnected by then. Nodes that the tree only named stay open.
public final class Opened implements AutoCloseable {
    private final Graph graph;
    private final Set<String> drivers;

    /// Children before their parents; the root is the last.
    private final List<Node> nodes = new ArrayList<>();

    private final List<String> guessedRaw = new ArrayList<>();
    private @Nullable BlockException told;

    private Opened(Graph graph, Set<String> drivers) {
        this.graph = graph;
        this.drivers = drivers;
    }

    static Opened open(Graph graph, Set<String> drivers, Plan plan) throws BlockException {
        Opened opened = new Opened(graph, drivers);
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

    /// The files that may be written to and were guessed to be raw: nobody may write to them what
    /// would look like another format. Their user should be warned.
    public List<String> guessedRaw() {
        return List.copyOf(guessedRaw);
    }

    @Override
    public void close() throws BlockException {
        while (!nodes.isEmpty()) {
            graph.remove(nodes.getLast());
            nodes.removeLast();
        }
    }

    /// Opens a child that an image names, and leads an edge to it.
    Gate connect(Plan plan, boolean readOnly) throws BlockException {
        return graph.connect(add(plan), readOnly);
    }

    /// A failure to open a child, told for its parent: once, by the parent that is next to it.
    BlockException told(BlockException cause, String what) {
        if (cause.equals(told)) {
            return cause;
        }
        BlockException telling =
                new BlockException(cause.kind(), what + ": " + cause.getMessage(), cause);
        told = telling;
        return telling;
    }

    private Node add(Plan plan) throws BlockException {
        return switch (plan) {
            case Plan.Known known -> addKnown(known);
            case Plan.Guessed guessed -> addGuessed(guessed);
        };
    }

    private Node addKnown(Plan.Known plan) throws BlockException {
        Map<String, Gate> gates = new LinkedHashMap<>();
        boolean added = false;
        try {
            for (Edge edge : plan.edges()) {
                Gate gate = graph.connect(target(edge), edge.readOnly());
                gates.put(edge.role(), gate);
                edge.connect(gate, graph);
            }
            String filename = filename(plan);
            Node node = addOrClose(plan, filename, open(plan, filename, gates), gates);
            nodes.add(node);
            added = true;
            return node;
        } finally {
            if (!added) {
                gates.values().forEach(graph::disconnect);
            }
        }
    }

    private String filename(Plan.Known plan) {
        if (!plan.filename().isEmpty()) {
            return plan.filename();
        }
        return plan.edges().stream()
                .filter(Edge::isPrimary)
                .map(edge -> graph.target(edge.gate()))
                .map(below -> below == null ? "" : below.filename())
                .findFirst()
                .orElse("");
    }

    private BlockDevice open(Plan.Known plan, String filename, Map<String, Gate> gates)
            throws BlockException {
        plan.implied().forEach(edge -> edge.attach(this, filename));
        try {
            return plan.opening().open();
        } finally {
            for (ImpliedEdge edge : plan.implied()) {
                Gate gate = edge.opened();
                if (gate != null) {
                    gates.put(edge.role().key(), gate);
                }
            }
        }
    }

    private Node addOrClose(
            Plan.Known plan, String filename, BlockDevice device, Map<String, Gate> gates)
            throws BlockException {
        String name = plan.name().isEmpty() ? graph.freshName() : plan.name();
        Node node =
                new Node(name, plan.driver(), filename, withPolicies(plan, device), device, gates);
        try {
            graph.add(node);
            return node;
        } catch (BlockException e) {
            device.close();
            throw e;
        }
    }

    private Node addGuessed(Plan.Guessed plan) throws BlockException {
        Node file = target(plan.file());
        ImageFormat format = probe(file);
        if (!drivers.contains(format.label())) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    ("%s is a %s image, which is not supported: convert it with 'qemu-img convert"
                                    + " -O raw', or say that its format is raw to use its bytes as"
                                    + " they are")
                            .formatted(called(file), format.label()));
        }
        Node below = file;
        if (format == ImageFormat.RAW && !plan.readOnly()) {
            guessedRaw.add(called(file));
            below = guard(file);
        }
        return add(plan.read().read(format.label(), below.name()));
    }

    private ImageFormat probe(Node file) throws BlockException {
        Gate edge = graph.connect(file, true);
        try {
            byte[] head = new byte[(int) Math.min(ImageFormat.PROBE_BYTES, edge.size())];
            edge.read(0, ByteBuffer.wrap(head));
            return ImageFormat.of(head);
        } finally {
            graph.disconnect(edge);
        }
    }

    /// The first sector of an image that only looks raw must go on looking so.
    private Node guard(Node file) throws BlockException {
        Gate edge = graph.connect(file, false);
        boolean added = false;
        try {
            Node guard =
                    new Node(
                            graph.freshName(),
                            "probed",
                            file.filename(),
                            new ProbedDevice(edge),
                            Map.of("file", edge));
            graph.add(guard);
            nodes.add(guard);
            added = true;
            return guard;
        } finally {
            if (!added) {
                graph.disconnect(edge);
            }
        }
    }

    private static String called(Node file) {
        return file.filename().isEmpty() ? file.device().description() : file.filename();
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
    private static BlockDevice withPolicies(Plan.Known plan, BlockDevice device) {
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
