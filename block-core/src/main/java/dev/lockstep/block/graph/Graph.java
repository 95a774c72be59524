package dev.lockstep.block.graph;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;

/// The named nodes of a process and the edges between them.
///
/// It is built from the bottom up: [#connect] makes an edge to a node, and [#add] gives edges to a
/// new node above. An edge that no node was given is a *root*: it belongs to an export or a job,
/// and is where requests come from. Changing what runs means draining the roots above it first,
/// which [#drain], [#replace] and [#remove] do.
///
/// Changes are serialised: a thread that holds a [Drain] is the only one that changes the graph,
/// and drains of one thread nest. No request may ask for a change, since it would wait for itself.
public final class Graph {
    /// Guards: every change of the fields below, and who may shut gates. Held for as long as a
    /// drain lasts; so looking at the graph does without it.
    private final ReentrantLock changes = new ReentrantLock();

    private final List<Node> nodes = new CopyOnWriteArrayList<>();

    /// By edge, the node it leads to.
    private final Map<Gate, Node> edges = new ConcurrentHashMap<>();

    /// By edge, the node that uses it; absent for a root.
    private final Map<Gate, Node> users = new ConcurrentHashMap<>();

    private final AtomicLong namesGiven = new AtomicLong();

    /// Roots that stay shut until it is closed, by the thread that began it.
    public final class Drain implements AutoCloseable {
        private final Set<Gate> roots;
        private boolean closed;

        private Drain(Set<Gate> roots) {
            this.roots = roots;
        }

        @Override
        public void close() {
            if (!closed) {
                closed = true;
                roots.forEach(Gate::open);
                changes.unlock();
            }
        }
    }

    /// A name for a node that nobody named. People cannot choose one like it.
    public String freshName() {
        long number = namesGiven.getAndIncrement();
        // Every command does this, and a formatter's first use would take it 10 ms.
        return "#block" + (number < 10 ? "00" : number < 100 ? "0" : "") + number;
    }

    /// Adds a node. Its edges were made by [#connect], and are nobody's yet.
    ///
    /// @throws BlockException if the name is taken
    public void add(Node node) throws BlockException {
        String name = node.name();
        changes.lock();
        try {
            if (node(name) != null) {
                throw new BlockException(Kind.INVALID, "there is a node '" + name + "' already");
            }
            for (Gate child : node.children().values()) {
                if (!edges.containsKey(child) || users.containsKey(child)) {
                    throw new IllegalArgumentException("an edge for '" + name + "' is not free");
                }
            }
            nodes.add(node);
            node.children().values().forEach(child -> users.put(child, node));
        } finally {
            changes.unlock();
        }
    }

    /// Makes an edge to a node. Until a node is added with it, it is a root.
    public Gate connect(Node node, boolean readOnly) {
        changes.lock();
        try {
            checkPresent(node);
            Gate edge = readOnly ? Gate.readOnly(node.device()) : new Gate(node.device());
            edges.put(edge, node);
            return edge;
        } finally {
            changes.unlock();
        }
    }

    /// Ends a root, waiting for its requests first. None follow: whoever sent them has stopped.
    public void disconnect(Gate root) {
        assert RequestScope.outside() : "a request changes the graph";
        changes.lock();
        try {
            if (users.containsKey(root) || edges.remove(root) == null) {
                throw new IllegalArgumentException("not a root of this graph");
            }
            root.drain();
        } finally {
            changes.unlock();
        }
    }

    /// The node of this name, or null.
    public @Nullable Node node(String name) {
        return nodes.stream().filter(node -> node.name().equals(name)).findFirst().orElse(null);
    }

    /// The nodes, in the order in which they were added.
    public List<Node> nodes() {
        return List.copyOf(nodes);
    }

    /// The node that an edge leads to, or null if the edge is not of this graph.
    public @Nullable Node target(Gate edge) {
        return edges.get(edge);
    }

    /// Waits until no request is in flight at or below any root above the node, and lets none in
    /// until the result is closed.
    public Drain drain(Node node) {
        assert RequestScope.outside() : "a request drains the graph";
        changes.lock();
        Set<Gate> roots = rootsAbove(node);
        roots.forEach(Gate::shut);
        for (Gate root : roots) {
            if (!root.awaitQuiet()) {
                throw new IllegalStateException("a root was opened during a drain");
            }
        }
        return new Drain(roots);
    }

    /// Leads every edge of `before` to `after`, except those that `after` itself has to `before`:
    /// so a filter is put in, and taken out the other way round. Running requests notice nothing.
    ///
    /// @throws IllegalArgumentException if their sizes differ
    public void replace(Node before, Node after) {
        try (var _ = drain(before)) {
            checkPresent(after);
            for (Gate edge : edgesTo(before)) {
                if (!after.equals(users.get(edge))) {
                    redirect(edge, after);
                }
            }
        }
    }

    /// Takes a node that nothing leads to out of the graph, closes its device and gives up its
    /// edges.
    ///
    /// @throws BlockException if something uses it, or closing failed
    public void remove(Node node) throws BlockException {
        assert RequestScope.outside() : "a request changes the graph";
        changes.lock();
        try {
            checkPresent(node);
            if (!edgesTo(node).isEmpty()) {
                throw new BlockException(
                        Kind.INVALID, "node '%s' is in use".formatted(node.name()));
            }
            nodes.remove(node);
            node.children().values().forEach(edges::remove);
            node.children().values().forEach(users::remove);
            node.device().close();
        } finally {
            changes.unlock();
        }
    }

    private void redirect(Gate edge, Node node) {
        edge.drain();
        try {
            edge.replace(node.device());
            edges.put(edge, node);
        } finally {
            edge.open();
        }
    }

    private Set<Gate> rootsAbove(Node node) {
        checkPresent(node);
        Set<Gate> roots = new HashSet<>();
        Set<Node> seen = new HashSet<>();
        Deque<Node> above = new ArrayDeque<>(List.of(node));
        while (!above.isEmpty()) {
            for (Gate edge : edgesTo(above.remove())) {
                Node user = users.get(edge);
                if (user == null) {
                    roots.add(edge);
                } else if (seen.add(user)) {
                    above.add(user);
                }
            }
        }
        return roots;
    }

    private List<Gate> edgesTo(Node node) {
        List<Gate> found = new ArrayList<>();
        edges.forEach(
                (edge, target) -> {
                    if (target.equals(node)) {
                        found.add(edge);
                    }
                });
        return found;
    }

    private void checkPresent(Node node) {
        if (!nodes.contains(node)) {
            throw new IllegalArgumentException("'%s' is not in this graph".formatted(node.name()));
        }
    }
}
