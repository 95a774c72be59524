package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.filter.probe.ImageFormat;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.open.Inherited;
import dev.lockstep.block.open.Opened;
import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;
import dev.lockstep.image.ImageSpec;

import java.nio.ByteBuffer;

/// What an image lies in, open without its format: so that something can be told of an image whose
/// backing file is gone, and a damaged one can be repaired.
///
/// @param format the format that was named, or that was found by looking
/// @param filename the file's name as it was given, or empty if it is no file
record Holder(String format, String filename, Opened opened, Graph graph, Gate gate)
        implements AutoCloseable {

    /// Opens what holds an image.
    ///
    /// @param inherited how
    static Holder open(ImageSpec spec, Inherited inherited) throws BlockException {
        Options tree;
        try {
            tree = spec.tree();
        } catch (IllegalArgumentException e) {
            throw new BlockException(Kind.INVALID, String.valueOf(e.getMessage()), e);
        }
        String driver = tree.find("driver") instanceof Option.Text(String name) ? name : "";
        boolean formatted = driver.isEmpty() || Images.isFormat(driver);
        Options held = formatted && tree.find("file") instanceof Options file ? file : tree;
        Graph graph = new Graph();
        Opened opened = Images.drivers(spec).open(graph, held, inherited);
        Gate gate = graph.connect(opened.root(), inherited.readOnly());
        Holder holder = new Holder(driver, opened.root().filename(), opened, graph, gate);
        if (!driver.isEmpty()) {
            return formatted ? holder : holder.as("raw");
        }
        return holder.probed();
    }

    private Holder as(String name) {
        return new Holder(name, filename, opened, graph, gate);
    }

    private Holder probed() throws BlockException {
        boolean done = false;
        try {
            ByteBuffer head =
                    ByteBuffer.allocate((int) Math.min(ImageFormat.PROBE_BYTES, gate.size()));
            gate.read(0, head);
            Holder known = as(ImageFormat.of(head.array()).label());
            done = true;
            return known;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    /// The space that its file takes, or -1 if it is no file.
    long allocatedBytes() {
        return opened.root().device() instanceof FileDevice file ? file.allocatedBytes() : -1;
    }

    @Override
    public void close() throws BlockException {
        graph.disconnect(gate);
        opened.close();
    }
}
