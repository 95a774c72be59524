package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.filter.blkdebug.Breakpoints;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Node;
import dev.lockstep.block.open.Options;
import dev.lockstep.block.overlay.BufferStore;
import dev.lockstep.cli.img.ImageFacts;
import dev.lockstep.cli.io.DiskOptions.Flag;
import dev.lockstep.image.Drivers;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Set;

/// An open disk.
final class Disk implements AutoCloseable {
    /// Where a snapshot's files go unless TMPDIR says otherwise: on a disk, since they may grow.
    private static final String SNAPSHOT_FOLDER = "/var/tmp";

    /// The formats that tell what they have from what lies below them.
    private static final Set<String> LAYERED = Set.of("qcow2", "qed");

    private final String name;
    private final String driverOptions;
    private final DiskOptions options;
    private final OpenImage image;
    private final Gate gate;

    private Disk(
            String name, String driverOptions, DiskOptions options, OpenImage image, Gate gate) {
        this.name = name;
        this.driverOptions = driverOptions;
        this.options = options;
        this.image = image;
        this.gate = gate;
    }

    /// Opens one.
    ///
    /// @param name empty if the driver's options say it all
    /// @param driverOptions `key=value,...`, or empty
    static Disk open(String name, String driverOptions, DiskOptions options) throws IOException {
        if (options.has(Flag.FORCE_SHARE) && !options.readOnly()) {
            throw new BlockException(
                    Kind.INVALID, "force-share=on can only be used with read-only images");
        }
        OpenImage image;
        try {
            image =
                    OpenImage.open(
                            spec(name, driverOptions, options),
                            options.inherited(),
                            Drivers.all(options.objects()));
        } catch (IllegalArgumentException e) {
            throw new BlockException(Kind.INVALID, String.valueOf(e.getMessage()), e);
        }
        boolean done = false;
        try {
            image.warnOfGuesses();
            if (options.has(Flag.COPY_ON_READ)) {
                image.cover(Options.EMPTY.with("driver", "copy-on-read"));
            }
            if (options.has(Flag.SNAPSHOT)) {
                String folder = System.getenv().getOrDefault("TMPDIR", SNAPSHOT_FOLDER);
                image.snapshot(BufferStore.inFolder(Path.of(folder)));
            }
            if (options.writeThrough() && !options.readOnly()) {
                image.writeThrough();
            }
            Disk disk =
                    new Disk(
                            name, driverOptions, options, image, image.connect(options.readOnly()));
            done = true;
            return disk;
        } finally {
            if (!done) {
                image.close();
            }
        }
    }

    private static ImageSpec spec(String name, String driverOptions, DiskOptions options) {
        if (driverOptions.isEmpty()) {
            return new ImageSpec(
                    name, options.format(), options.has(Flag.IMAGE_OPTIONS), options.objects());
        }
        String file = name.isEmpty() ? "" : ",file.filename=" + name.replace(",", ",,");
        return new ImageSpec(driverOptions + file, null, true, options.objects());
    }

    /// The same disk, opened in another way. This one is closed.
    Disk reopen(DiskOptions other, String moreOptions) throws IOException {
        String all =
                driverOptions.isEmpty() || moreOptions.isEmpty()
                        ? driverOptions + moreOptions
                        : driverOptions + "," + moreOptions;
        close();
        return open(name, all, other);
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

    /// Where requests of the disk can be stopped, or null if nothing below it is a `blkdebug`.
    @Nullable Breakpoints breakpoints() {
        for (Node node : image.graph().nodes()) {
            if (node.bare() instanceof Breakpoints found) {
                return found;
            }
        }
        return null;
    }

    /// What a range begins with. A depth of 1 is the disk itself, which is all that a format
    /// without layers has.
    Extent allocation(long offset, long length) throws BlockException {
        if (!isLayered()) {
            return new Extent(offset, length, Extent.Kind.DATA, 1);
        }
        return gate.extents(offset, length).getFirst();
    }

    private boolean isLayered() {
        return options.has(Flag.SNAPSHOT) || LAYERED.contains(image.image().driver());
    }

    void resize(long bytes, String preallocation) throws BlockException {
        if (!preallocation.equals("off")) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "preallocation '%s' is not supported here".formatted(preallocation));
        }
        gate.resize(bytes);
    }

    String information() throws BlockException {
        ImageFacts facts = ImageFacts.of(spec(name, driverOptions, options), true);
        return "format name: %s%ncluster size: %s%nvm state offset: %s%n"
                        .formatted(
                                facts.format(),
                                Figures.size(facts.clusterBytes()),
                                Figures.size(facts.stateOffset()))
                + facts.specificText();
    }

    @Override
    public void close() throws IOException {
        image.close();
    }
}
