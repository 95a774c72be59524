package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.open.ImpliedEdge.Role;
import dev.lockstep.block.open.Inherited.DetectZeroes;

import java.util.ArrayList;
import java.util.List;

/// The options of one node, as its driver takes them.
public final class NodeOptions extends OptionReader {
    private final String driver;
    private final Common common;
    private final Registry.Reading reading;
    private final List<Edge> edges = new ArrayList<>();
    private final List<ImpliedEdge> implied = new ArrayList<>();

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
            Registry.Reading reading)
            throws BlockException {
        super("the driver '" + driver + "'", prefix, tree);
        this.driver = driver;
        this.reading = reading;
        String _ = textOrNull("driver");
        this.common = readCommon(inherited);
    }

    /// What every device has.
    public Common common() {
        return common;
    }

    /// A child that has to be there.
    public Edge child(String key) throws BlockException {
        Option found = take(key);
        if (found == null) {
            throw invalid("the driver '%s' needs the device '%s'".formatted(driver, whole(key)));
        }
        return edge(found, key, common.inheritable().forChild());
    }

    /// The image that is read where the device has nothing, unless the options have none:
    /// `backing`. No text and null say that there is none, whatever the device's image says. A tree
    /// without `driver` and `file` adds to what the image says.
    public ImpliedEdge backing() throws BlockException {
        return implied(Role.BACKING, common.inheritable().forChild().withReadOnly(true));
    }

    /// Where the device keeps its guest's data apart from itself, if it does: `data-file`.
    public ImpliedEdge dataFile() throws BlockException {
        return implied(Role.DATA, common.inheritable().forChild());
    }

    /// The same for a device whose names are relative to the folder that it is in itself.
    public ImpliedEdge dataFileBeside() throws BlockException {
        return implied(Role.DATA_BESIDE, common.inheritable().forChild());
    }

    private ImpliedEdge implied(Role role, Inherited inherited) throws BlockException {
        Option value = take(role.key());
        ImpliedEdge.Choice choice =
                switch (value) {
                    case null -> new ImpliedEdge.Completed(Options.EMPTY);
                    case Option.Nothing _ -> new ImpliedEdge.Absent();
                    case Option.Text(String name) when name.isEmpty() -> new ImpliedEdge.Absent();
                    case Options tree
                            when tree.find("driver") == null && tree.find("file") == null ->
                            new ImpliedEdge.Completed(tree);
                    default -> new ImpliedEdge.Given(edge(value, role.key(), inherited));
                };
        ImpliedEdge edge = new ImpliedEdge(role, choice, reading, inherited);
        implied.add(edge);
        return edge;
    }

    /// A list of children, as `children.0.driver=...` or as a list of nodes.
    public List<Edge> children(String key) throws BlockException {
        List<Edge> made = new ArrayList<>();
        for (Option one : items(key, "devices")) {
            made.add(edge(one, key + "." + made.size(), common.inheritable().forChild()));
        }
        return made;
    }

    /// The children that the driver asked for.
    List<Edge> edges() {
        return List.copyOf(edges);
    }

    /// The children that the driver may ask for later.
    List<ImpliedEdge> implied() {
        return List.copyOf(implied);
    }

    private Edge edge(Option value, String role, Inherited inherited) throws BlockException {
        String path = whole(role);
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
        Edge edge = new Edge(role, target, inherited.readOnly());
        edges.add(edge);
        return edge;
    }

    private Common readCommon(Inherited inherited) throws BlockException {
        String nodeName = textOrNull("node-name");
        OptionReader cache = group("cache");
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
}
