package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.open.ImpliedEdge.Role;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/// The drivers that a process has, by name, and how it reads the names of images. Immutable.
public final class Registry {
    /// Far more than any sensible graph is deep, and little enough stack.
    private static final int DEPTH_MAX = 64;

    /// Long chains are slow, but people have chains of a snapshot a day. Opening takes some eight
    /// frames of stack an image, about 1 KiB.
    private static final int CHAIN_MAX = 200;

    private final Map<String, Opener> openers;
    private final ImageName.Reader names;

    private Registry(Map<String, Opener> openers, ImageName.Reader names) {
        this.openers = Map.copyOf(openers);
        this.names = names;
    }

    /// The drivers of this module that need nothing from elsewhere: files, the formats of images,
    /// and what is in memory or above other devices. A name in an image is a path.
    public static Registry ofCore() {
        return new Registry(CoreOpeners.all(), ImageName::path);
    }

    /// The same with one more driver, or another one in its place.
    public Registry with(String driver, Opener opener) {
        Map<String, Opener> more = new TreeMap<>(openers);
        more.put(driver, opener);
        return new Registry(more, names);
    }

    /// The same with another way of reading the names that are in images.
    public Registry with(ImageName.Reader reader) {
        return new Registry(openers, reader);
    }

    /// The names of the drivers.
    public Set<String> drivers() {
        return openers.keySet();
    }

    /// Opens a tree, and adds its devices to the graph. If it fails, nothing of it is left open.
    ///
    /// A node without a `driver` but with a `file` is an image whose format is found by looking.
    ///
    /// @throws BlockException with one sentence that names what is wrong: an option by its dotted
    ///     key, or a device
    public Opened open(Graph graph, Options tree, Inherited inherited) throws BlockException {
        Plan plan = new Reading(0, Set.of(), 0).node(tree, "", inherited);
        return Opened.open(graph, openers.keySet(), plan);
    }

    /// A walk down a tree that is being read.
    final class Reading {
        private final int depth;

        /// What identifies the files of the images that led here by naming each other.
        private final Set<Object> filesAbove;

        private final int imagesAbove;

        private Reading(int depth, Set<Object> filesAbove, int imagesAbove) {
            this.depth = depth;
            this.filesAbove = filesAbove;
            this.imagesAbove = imagesAbove;
        }

        Plan node(Options tree, String prefix, Inherited inherited) throws BlockException {
            if (depth == DEPTH_MAX) {
                throw new BlockException(
                        Kind.INVALID, "the devices are more than %d deep".formatted(DEPTH_MAX));
            }
            Reading below = new Reading(depth + 1, filesAbove, imagesAbove);
            if (tree.find("driver") == null && tree.find("file") != null) {
                NodeOptions options = new NodeOptions(tree, prefix, "raw", inherited, below);
                Edge file = options.child("file");
                return new Plan.Guessed(
                        filename(tree, List.of(file)),
                        options.common().readOnly(),
                        file,
                        (driver, node) ->
                                node(
                                        tree.with("driver", driver).with("file", node),
                                        prefix,
                                        inherited));
            }
            String driver = driver(tree, prefix);
            NodeOptions options = new NodeOptions(tree, prefix, driver, inherited, below);
            Opener.Opening opening = opener(driver).read(options);
            options.finish();
            return new Plan.Known(
                    options.common().nodeName(),
                    driver,
                    filename(tree, options.edges()),
                    options.common(),
                    options.edges(),
                    options.implied(),
                    opening);
        }

        /// Reads what the image in `parentFile` says about a child.
        ///
        /// @param name as it is to be understood in the current folder
        /// @param more what the options of the parent add
        Plan implied(
                Role role,
                String parentFile,
                String name,
                String format,
                Options more,
                Inherited inherited)
                throws BlockException {
            if (imagesAbove == CHAIN_MAX) {
                throw new BlockException(
                        Kind.INVALID, "the chain has more than %d images".formatted(CHAIN_MAX));
            }
            Options tree = completed(named(role, name, format), more);
            Set<Object> files = new HashSet<>(filesAbove);
            Object parent = fileKey(parentFile);
            if (parent != null) {
                files.add(parent);
            }
            Plan plan =
                    new Reading(0, files, imagesAbove + 1).node(tree, role.key() + ".", inherited);
            Object child = fileKey(plan.filename());
            if (child != null && files.contains(child)) {
                throw new BlockException(
                        Kind.INVALID,
                        "%s is above it in the same chain, which would have no end"
                                .formatted(plan.filename()));
            }
            return plan;
        }

        private Options named(Role role, String name, String format) throws BlockException {
            Options tree;
            try {
                tree = names.read(name);
            } catch (IllegalArgumentException e) {
                throw new BlockException(Kind.INVALID, String.valueOf(e.getMessage()), e);
            }
            if (tree.find("driver") != null) {
                return tree;
            }
            String known = role.isData() ? "raw" : format;
            return known.isEmpty() ? tree : ImageName.withFormat(tree, known);
        }

        private static Options completed(Options tree, Options more) {
            Options completed = tree;
            for (Map.Entry<String, Option> each : more.values().entrySet()) {
                completed = completed.with(each.getKey(), each.getValue());
            }
            return completed;
        }

        private Opener opener(String driver) throws BlockException {
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
            return opener;
        }

        private static String filename(Options tree, List<Edge> edges) {
            if (tree.find("filename") instanceof Option.Text(String name)) {
                return name;
            }
            return edges.stream()
                    .filter(Edge::isPrimary)
                    .map(Edge::target)
                    .map(target -> target instanceof Edge.Described(Plan plan) ? plan : null)
                    .map(plan -> plan == null ? "" : plan.filename())
                    .findFirst()
                    .orElse("");
        }

        /// What a file is known by whatever its name, or null if there is no such file.
        private static @Nullable Object fileKey(String name) {
            try {
                return name.isEmpty()
                        ? null
                        : Files.readAttributes(Path.of(name), BasicFileAttributes.class).fileKey();
            } catch (IOException | InvalidPathException _) {
                return null;
            }
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
