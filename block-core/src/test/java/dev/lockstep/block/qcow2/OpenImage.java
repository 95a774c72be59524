package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Recipe.Below;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// An image that is open with everything that it is made of. Closing it closes all of that.
final class OpenImage implements AutoCloseable {
    /// Nothing has to leave the caches, and discards reach the file.
    static final Qcow2Options ROOMY = options(Qcow2Options.UNSAID, Qcow2Options.UNSAID, false);

    /// The caches are as small as they can be.
    static final Qcow2Options TIGHT = options(0, 512, false);

    /// What is discarded keeps its place; not in version 2.
    static final Qcow2Options KEEPING = options(0, 512, true);

    /// The image first.
    private final List<BlockDevice> devices = new ArrayList<>();

    private final Qcow2Options options;

    private OpenImage(Qcow2Options options) {
        this.options = options;
    }

    private static Qcow2Options options(long bytes, long entryBytes, boolean noUnref) {
        Qcow2Options usual = Qcow2Options.DEFAULTS;
        return new Qcow2Options(
                usual.lazyRefcounts(),
                true,
                usual.passDiscardSnapshot(),
                true,
                noUnref,
                Qcow2Options.UNSAID,
                bytes,
                entryBytes,
                bytes,
                usual.cacheCleanInterval());
    }

    /// Opens an image that a recipe made.
    static OpenImage open(Recipe recipe, Path image, boolean readOnly) throws BlockException {
        OpenImage opened = new OpenImage(readOnly ? ROOMY : TIGHT);
        try {
            Gate data = recipe.external() ? opened.file(Recipe.dataFile(image), readOnly) : null;
            opened.add(recipe, opened.file(image, readOnly), data, image, readOnly);
            return opened;
        } catch (BlockException e) {
            opened.close();
            throw e;
        }
    }

    /// Opens an image whose file, and external data file if it has one, are some other devices.
    static OpenImage open(
            Recipe recipe, Gate file, @Nullable Gate data, Path image, Qcow2Options options)
            throws BlockException {
        OpenImage opened = new OpenImage(options);
        try {
            opened.add(recipe, file, data, image, false);
            return opened;
        } catch (BlockException e) {
            opened.close();
            throw e;
        }
    }

    /// A way to the image.
    Gate gate() {
        return new Gate(device());
    }

    Qcow2Device device() {
        return (Qcow2Device) devices.getFirst();
    }

    @Override
    public void close() throws BlockException {
        for (BlockDevice device : devices) {
            device.close();
        }
    }

    private void add(Recipe recipe, Gate file, @Nullable Gate data, Path image, boolean readOnly)
            throws BlockException {
        add(Qcow2Device.open(file, backing(recipe, image), data, options, readOnly));
    }

    private @Nullable Gate backing(Recipe recipe, Path image) throws BlockException {
        if (recipe.below() == Below.NOTHING) {
            return null;
        }
        Gate file = file(recipe.backingFile(image), true);
        return recipe.below().raw()
                ? file
                : Gate.readOnly(add(Qcow2Device.open(file, null, null, options, true)));
    }

    private Gate file(Path path, boolean readOnly) throws BlockException {
        FileOptions options = FileOptions.of(path);
        return readOnly
                ? Gate.readOnly(add(FileDevice.open(options.asReadOnly())))
                : new Gate(add(FileDevice.open(options)));
    }

    private <T extends BlockDevice> T add(T device) {
        devices.addFirst(device);
        return device;
    }
}
