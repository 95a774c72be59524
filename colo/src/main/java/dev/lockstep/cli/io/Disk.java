package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.filter.probe.ImageFormat;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.open.Opened;
import dev.lockstep.block.open.Options;
import dev.lockstep.block.open.Registry;
import dev.lockstep.image.ImageText;
import dev.lockstep.image.KeyValues;
import dev.lockstep.nbd.client.NbdOpener;

import java.io.IOException;

/// An open disk.
final class Disk implements AutoCloseable {
    private static final Registry DRIVERS = Registry.ofCore().with("nbd", new NbdOpener(_ -> null));

    private final String name;
    private final String driverOptions;
    private final DiskOptions options;
    private final Graph graph = new Graph();
    private final Opened opened;
    private final Gate gate;

    private Disk(String name, String driverOptions, DiskOptions options) throws IOException {
        this.name = name;
        this.driverOptions = driverOptions;
        this.options = options;
        try {
            opened = DRIVERS.open(graph, tree(), options.inherited());
        } catch (IllegalArgumentException e) {
            throw new BlockException(Kind.INVALID, String.valueOf(e.getMessage()));
        }
        gate = graph.connect(opened.root(), options.readOnly());
    }

    /// Opens one.
    ///
    /// @param name empty if the driver's options say it all
    /// @param driverOptions `key=value,...`, or empty
    static Disk open(String name, String driverOptions, DiskOptions options) throws IOException {
        return new Disk(name, driverOptions, options);
    }

    private Options tree() throws IOException {
        if (options.forceShare() && !options.readOnly()) {
            throw new BlockException(
                    Kind.INVALID, "force-share=on can only be used with read-only images");
        }
        Options tree =
                options.imageOptions() ? ImageText.parseOptions(name) : ImageText.parse(name);
        if (options.format() != null) {
            tree = tree.with("driver", options.format());
        }
        for (var each : KeyValues.parse(driverOptions).values().entrySet()) {
            tree = tree.with(each.getKey(), each.getValue());
        }
        return tree.find("driver") == null ? tree.with("driver", ImageFormat.RAW.label()) : tree;
    }

    /// The same disk, opened in another way. If that fails, this one is as it was.
    Disk reopen(DiskOptions other, String moreOptions) throws IOException {
        String all = driverOptions.isEmpty() ? moreOptions : driverOptions + "," + moreOptions;
        close();
        return new Disk(name, all, other);
    }

    String name() {
        return name;
    }

    DiskOptions options() {
        return options;
    }

    Gate gate() {
        return gate;
    }

    /// Which layer the first bytes of a range are in: a depth of 1 is the disk itself.
    Extent allocation(long offset, long length) throws BlockException {
        // A raw disk has no layer below it, so all of it is its own.
        return new Extent(offset, length, Extent.Kind.DATA, 1);
    }

    void resize(long bytes, String preallocation) throws BlockException {
        if (!preallocation.equals("off")) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "preallocation '%s' is not supported here".formatted(preallocation));
        }
        gate.resize(bytes);
    }

    String information() {
        return """
               format name: raw
               cluster size: 0 bytes
               vm state offset: 0 bytes
               """;
    }

    @Override
    public void close() throws IOException {
        try {
            if (!gate.capabilities().readOnly()) {
                gate.flush();
            }
        } finally {
            graph.disconnect(gate);
            opened.close();
        }
    }
}
