package dev.lockstep.colo;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.open.Inherited;
import dev.lockstep.block.open.Options;
import dev.lockstep.image.Drivers;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;

/// The disk of one side, open: the bytes of a file or a block device, or an image in them.
public final class PairDisk implements AutoCloseable {
    private final OpenImage image;
    private final Gate gate;

    private PairDisk(OpenImage image) {
        this.image = image;
        this.gate = image.connect(false);
    }

    /// Opens a disk to write to it.
    ///
    /// @param format its format, or null if that is to be found by looking: then what looks raw
    ///     keeps looking so, and its user is warned
    /// @throws IOException with one sentence if it cannot be opened
    public static PairDisk open(Path disk, @Nullable String format) throws IOException {
        Options tree =
                Options.EMPTY.with("file.driver", "file").with("file.filename", disk.toString());
        OpenImage image =
                OpenImage.open(
                        format == null ? tree : ImageName.withFormat(tree, format),
                        Inherited.NOTHING.withUnmap(true),
                        Drivers.all());
        image.warnOfGuesses();
        return new PairDisk(image);
    }

    /// The way to it.
    public Gate gate() {
        return gate;
    }

    /// The name of its format.
    public String format() {
        String driver = image.image().driver();
        return driver.equals("file") || driver.equals("host_device") ? "raw" : driver;
    }

    @Override
    public void close() throws IOException {
        image.close();
    }
}
