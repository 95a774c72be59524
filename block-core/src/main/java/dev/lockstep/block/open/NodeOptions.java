package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.open.Inherited.DetectZeroes;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// The options of one node, as its driver takes them. Each key that was asked for counts as
/// understood; [#finish] refuses the rest. Every error names the whole dotted key.
public final class NodeOptions {
    private final Options tree;
    private final String prefix;
    private final String driver;
    private final Common common;
    private final Registry.Reading reading;
    private final List<Edge> edges;
    private final List<NodeOptions> groups = new ArrayList<>();
    private final Set<String> understood = new TreeSet<>();

    /// What every device has.
    ///
    /// @param nodeName empty if none was given
    /// @param inheritable what it does, and its children unless they are told otherwise
    public record Common(String nodeName, Inherited inheritable) {
        /// Whether nothing may be written.
        public boolean readOnly() {
            return inheritable.readOnly();
        }

        /// How files are cached. A file that is opened past the cache is flushed although
        /// `no-flush` is asked for.
        public CacheMode cache() {
            if (inheritable.direct()) {
                return CacheMode.NONE;
            }
            return inheritable.noFlush() ? CacheMode.UNSAFE : CacheMode.WRITEBACK;
        }
    }

    NodeOptions(
            Options tree,
            String prefix,
            String driver,
            Inherited inherited,
            Registry.Reading reading,
            List<Edge> edges)
            throws BlockException {
        this.tree = tree;
        this.prefix = prefix;
        this.driver = driver;
        this.reading = reading;
        this.edges = edges;
        understood.add("driver");
        this.common = readCommon(inherited);
    }

    private NodeOptions(NodeOptions above, Options tree, String prefix) {
        this.tree = tree;
        this.prefix = prefix;
        this.driver = above.driver;
        this.common = above.common;
        this.reading = above.reading;
        this.edges = above.edges;
    }

    /// What every device has.
    public Common common() {
        return common;
    }

    /// Whether there is a value.
    public boolean has(String key) {
        return tree.values().containsKey(key);
    }

    /// A text that has to be there.
    public String text(String key) throws BlockException {
        String found = textOrNull(key);
        if (found == null) {
            throw invalid("the driver '%s' needs '%s'".formatted(driver, whole(key)));
        }
        return found;
    }

    /// A text, or null.
    public @Nullable String textOrNull(String key) throws BlockException {
        return switch (take(key)) {
            case null -> null;
            case Option.Text(String value) -> value;
            case Option.Whole(long value) -> Long.toString(value);
            case Option.Truth(boolean value) -> value ? "on" : "off";
            case Option.Nothing _, Option.Items _, Options _ ->
                    throw invalid("'%s' is one value".formatted(whole(key)));
        };
    }

    /// A number of bytes, or the default.
    public long bytes(String key, long otherwise) throws BlockException {
        String text = textOrNull(key);
        if (text == null) {
            return otherwise;
        }
        try {
            return ByteCount.parse(text);
        } catch (IllegalArgumentException e) {
            throw invalid("'%s': %s".formatted(whole(key), e.getMessage()));
        }
    }

    /// A whole number between two others, or the default.
    public long number(String key, long min, long max, long otherwise) throws BlockException {
        String text = textOrNull(key);
        if (text == null) {
            return otherwise;
        }
        try {
            long value = Long.parseLong(text);
            if (value >= min && value <= max) {
                return value;
            }
        } catch (NumberFormatException _) {
            // Told below, together with what is out of range.
        }
        throw invalid(
                "'%s' is '%s': write a number from %d to %d".formatted(whole(key), text, min, max));
    }

    /// A truth value, or the default.
    public boolean truth(String key, boolean otherwise) throws BlockException {
        String text = textOrNull(key);
        return switch (text == null ? "" : text) {
            case "on", "yes", "true", "y" -> true;
            case "off", "no", "false", "n" -> false;
            default -> {
                if (text == null) {
                    yield otherwise;
                }
                throw invalid("'%s' is '%s': write on or off".formatted(whole(key), text));
            }
        };
    }

    /// One of the constants of an enum, written as `read-only` is for `READ_ONLY`, or the default.
    public <E extends Enum<E>> E choice(String key, Class<E> type, E otherwise)
            throws BlockException {
        String text = textOrNull(key);
        if (text == null) {
            return otherwise;
        }
        E[] constants = type.getEnumConstants();
        for (E constant : constants) {
            if (label(constant).equals(text)) {
                return constant;
            }
        }
        throw invalid(
                "'%s' is '%s': write %s"
                        .formatted(
                                whole(key),
                                text,
                                Stream.of(constants)
                                        .map(NodeOptions::label)
                                        .collect(Collectors.joining(" or "))));
    }

    /// A group of options that is no node: `server` in `server.host`. Empty if there is none.
    public NodeOptions group(String key) throws BlockException {
        Option found = take(key);
        if (found != null && !(found instanceof Options)) {
            throw invalid("'%s' is a group: write '%s.NAME'".formatted(whole(key), whole(key)));
        }
        Options inner = found instanceof Options options ? options : Options.EMPTY;
        NodeOptions group = new NodeOptions(this, inner, whole(key) + ".");
        groups.add(group);
        return group;
    }

    /// A child that has to be there.
    public Edge child(String key) throws BlockException {
        Option found = take(key);
        if (found == null) {
            throw invalid("the driver '%s' needs the device '%s'".formatted(driver, whole(key)));
        }
        return edge(found, whole(key));
    }

    /// A list of children, as `children.0.driver=...` or as a list of nodes.
    public List<Edge> children(String key) throws BlockException {
        List<Option> found =
                switch (take(key)) {
                    case null -> List.of();
                    case Option.Items(var values) -> values;
                    case Options(var values) -> numbered(key, new Options(values));
                    default -> throw invalid("'%s' is a list of devices".formatted(whole(key)));
                };
        List<Edge> made = new ArrayList<>();
        for (Option one : found) {
            made.add(edge(one, whole(key) + "." + made.size()));
        }
        return made;
    }

    /// A failure that says what is wrong with these options.
    public BlockException invalid(String sentence) {
        return new BlockException(Kind.INVALID, sentence);
    }

    /// The whole dotted name of a key.
    public String whole(String key) {
        return prefix + key;
    }

    /// Refuses every key that nobody asked for.
    void finish() throws BlockException {
        for (String key : tree.values().keySet()) {
            if (!understood.contains(key)) {
                throw invalid(
                        "the driver '%s' does not know the option '%s'"
                                .formatted(driver, whole(key)));
            }
        }
        for (NodeOptions group : groups) {
            group.finish();
        }
    }

    private @Nullable Option take(String key) {
        understood.add(key);
        return tree.values().get(key);
    }

    private Edge edge(Option value, String path) throws BlockException {
        Inherited inherited = common.inheritable().forChild();
        Edge.Target target =
                switch (value) {
                    case Option.Text(String name) -> new Edge.Named(name);
                    case Options options ->
                            new Edge.Described(reading.node(options, path + ".", inherited));
                    default ->
                            throw invalid(
                                    "'%s' is a device: write its options or a node's name"
                                            .formatted(path));
                };
        Edge edge = new Edge(target, common.readOnly());
        edges.add(edge);
        return edge;
    }

    private List<Option> numbered(String key, Options tree) throws BlockException {
        List<Option> items = new ArrayList<>();
        for (int index = 0; index < tree.values().size(); index++) {
            Option item = tree.values().get(Integer.toString(index));
            if (item == null) {
                throw invalid("'%s.%d' is missing".formatted(whole(key), index));
            }
            items.add(item);
        }
        return items;
    }

    private Common readCommon(Inherited inherited) throws BlockException {
        String nodeName = textOrNull("node-name");
        NodeOptions cache = group("cache");
        boolean unmap =
                switch (textOrNull("discard")) {
                    case null -> inherited.unmap();
                    case "unmap", "on" -> true;
                    case "ignore", "off" -> false;
                    case String other ->
                            throw invalid(
                                    "'%s' is '%s': write unmap or ignore"
                                            .formatted(whole("discard"), other));
                };
        DetectZeroes detect = choice("detect-zeroes", DetectZeroes.class, inherited.detectZeroes());
        if (detect == DetectZeroes.UNMAP && !unmap) {
            throw invalid("setting detect-zeroes to unmap needs discard=unmap as well");
        }
        return new Common(
                nodeName == null ? "" : nodeName,
                new Inherited(
                        truth("read-only", inherited.readOnly()),
                        cache.truth("direct", inherited.direct()),
                        cache.truth("no-flush", inherited.noFlush()),
                        truth("force-share", inherited.forceShare()),
                        unmap,
                        detect));
    }

    private static String label(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
