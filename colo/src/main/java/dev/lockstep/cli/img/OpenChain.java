package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.graph.Node;
import dev.lockstep.block.open.Inherited;
import dev.lockstep.block.open.Opened;
import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;

/// An image and the images below it, open so that one of those can be written to.
final class OpenChain implements AutoCloseable {
    private static final String BASE_NODE = "base";

    private final Graph graph;
    private final Opened base;
    private final Opened top;
    private final Gate topGate;
    private final Gate baseGate;
    private final int layers;

    private OpenChain(Graph graph, Opened base, Opened top, int layers) {
        this.graph = graph;
        this.base = base;
        this.top = top;
        this.layers = layers;
        topGate = graph.connect(top.root(), true);
        baseGate = graph.connect(base.root(), false);
    }

    /// Opens a chain.
    ///
    /// @param spec the image at the top
    /// @param name the image to be written to, or null for the one right below the top
    /// @param topReadOnly whether the top is not written to
    static OpenChain open(ImageSpec spec, @Nullable String name, String cache, boolean topReadOnly)
            throws BlockException {
        List<ImageFacts> chain = ImageFacts.chain(spec, false);
        int layers = name == null ? 1 : find(chain, name);
        if (chain.size() == 1 && name == null) {
            throw new BlockException(Kind.INVALID, "Image does not have a backing file");
        }
        if (layers < 1) {
            throw new BlockException(
                    Kind.INVALID,
                    "Did not find '%s' in the backing chain of '%s'".formatted(name, spec.text()));
        }
        Inherited writable = Images.inherited(false, cache, false);
        Graph graph = new Graph();
        Options below = chain.get(layers).spec().tree().with("node-name", BASE_NODE);
        Opened base = Images.drivers(spec).open(graph, below, writable);
        boolean done = false;
        try {
            Option child = new Option.Text(BASE_NODE);
            for (int index = layers - 1; index > 0; index--) {
                child = chain.get(index).spec().tree().with("backing", child);
            }
            Options tree = spec.tree().with("backing", child);
            Opened top = Images.drivers(spec).open(graph, tree, writable.withReadOnly(topReadOnly));
            done = true;
            return new OpenChain(graph, base, top, layers);
        } finally {
            if (!done) {
                base.close();
            }
        }
    }

    /// The place of an image below the top that goes by this name, or -1.
    private static int find(List<ImageFacts> chain, String name) {
        for (int index = 1; index < chain.size(); index++) {
            String recorded = chain.get(index - 1).backingFile();
            String full = chain.get(index).spec().text();
            if (name.equals(recorded) || name.equals(full) || isSame(name, full)) {
                return index;
            }
        }
        return -1;
    }

    private static boolean isSame(String one, String other) {
        try {
            return Files.isSameFile(Path.of(one), Path.of(other));
        } catch (IOException | InvalidPathException _) {
            return false;
        }
    }

    /// The image at the top.
    Node top() {
        return top.root();
    }

    /// A way to the top, to read it.
    Gate topGate() {
        return topGate;
    }

    /// A way to the image that can be written to.
    Gate baseGate() {
        return baseGate;
    }

    /// How many images lie above that.
    int layers() {
        return layers;
    }

    /// Tells the user which files were guessed to be raw and are written to.
    void warnOfGuesses() {
        OpenImage.warnOfGuesses(base);
        OpenImage.warnOfGuesses(top);
    }

    @Override
    public void close() throws BlockException {
        try {
            graph.disconnect(topGate);
            top.close();
        } finally {
            graph.disconnect(baseGate);
            base.close();
        }
    }
}
