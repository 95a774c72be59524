package dev.lockstep.cli.img;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// The image that a command writes. If the command made it and does not [#keep] it, it is taken
/// away again.
final class Target implements AutoCloseable {
    private final OpenImage image;
    private final Gate gate;
    private final boolean zero;
    private final @Nullable Path made;
    private boolean kept;

    private Target(OpenImage image, boolean zero, @Nullable Path made) {
        this.image = image;
        this.gate = image.connect(false);
        this.zero = zero;
        this.made = made;
    }

    /// One that was there.
    ///
    /// @param zero whether it is known to read as zeroes
    static Target existing(OpenImage image, boolean zero) {
        return new Target(image, zero, null);
    }

    /// Makes one.
    ///
    /// @param bare whether nothing lies below it
    static Target make(NewImage image, ImageSpec spec, String cache, boolean bare)
            throws IOException {
        Path path = NewFile.pathOf(spec);
        boolean done = false;
        boolean locked = false;
        try {
            NewFile.make(image, spec.text(), cache);
            locked = true;
            Target target =
                    new Target(
                            Images.openToWrite(spec, cache),
                            bare && (path != null || !(image instanceof NewRaw)),
                            path);
            done = true;
            return target;
        } finally {
            if (!done && locked && path != null) {
                Files.deleteIfExists(path);
            }
        }
    }

    OpenImage image() {
        return image;
    }

    Gate gate() {
        return gate;
    }

    /// Whether it reads as zeroes wherever nothing was written yet.
    boolean readsAsZero() {
        return zero;
    }

    /// It is complete.
    void keep() {
        kept = true;
    }

    @Override
    public void close() throws IOException {
        boolean closed = false;
        try {
            image.close();
            closed = true;
        } finally {
            if (made != null && (!kept || !closed)) {
                Files.deleteIfExists(made);
            }
        }
    }
}
