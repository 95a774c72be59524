package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Graph;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/// The drivers that a process has, by name. Immutable.
public final class Registry {
    /// Far more than any sensible graph is deep, and little enough stack.
    private static final int DEPTH_MAX = 64;

    private final Map<String, Opener> openers;

    private Registry(Map<String, Opener> openers) {
        this.openers = Map.copyOf(openers);
    }

    /// The drivers of this module: `file`, `host_device`, `raw`, `null-co`, `null-aio`, `memory`
    /// and `quorum`.
    public static Registry ofCore() {
        return new Registry(CoreOpeners.all());
    }

    /// The same with one more driver, or another one in its place.
    public Registry with(String driver, Opener opener) {
        Map<String, Opener> more = new TreeMap<>(openers);
        more.put(driver, opener);
        return new Registry(more);
    }

    /// The names of the drivers.
    public Set<String> drivers() {
        return openers.keySet();
    }

    /// Opens a tree, and adds its devices to the graph. If it fails, nothing of it is left open.
    ///
    /// @throws BlockException with one sentence that names what is wrong: an option by its dotted
    ///     key, or a device
    public Opened open(Graph graph, Options tree, Inherited inherited) throws BlockException {
        Plan plan = new Reading(0).node(tree, "", inherited);
        return Opened.open(graph, plan);
    }

    /// A walk down a tree that is being read.
    final class Reading {
        private final int depth;

        private Reading(int depth) {
            this.depth = depth;
        }

        Plan node(Options tree, String prefix, Inherited inherited) throws BlockException {
            if (depth == DEPTH_MAX) {
                throw new BlockException(
                        Kind.INVALID, "the devices are more than %d deep".formatted(DEPTH_MAX));
            }
            String driver = driver(tree, prefix);
            Opener opener = openers.get(driver);
            if (opener == null) {
                throw new BlockException(
                        Kind.INVALID,
                        "the driver '%s' is not known; there are %s"
                                .formatted(
                                        driver,
                                        String.join(
                                                ", ",
                                                openers.keySet().stream().sorted().toList())));
            }
            List<Edge> edges = new ArrayList<>();
            NodeOptions options =
                    new NodeOptions(tree, prefix, driver, inherited, new Reading(depth + 1), edges);
            Opener.Opening opening = opener.read(options);
            options.finish();
            return new Plan(options.common().nodeName(), driver, options.common(), edges, opening);
        }

        private static String driver(Options tree, String prefix) throws BlockException {
            if (tree.find("driver") instanceof Option.Text(String driver)) {
                return driver;
            }
            throw new BlockException(
                    Kind.INVALID, "'%sdriver' is missing: say what device it is".formatted(prefix));
        }
    }
}
