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
    /// Discards give space back, as they do in a guest's eyes.
    private static final Qcow2Options OPTIONS = Qcow2Options.DEFAULTS;

    /// The image first.
    private final List<BlockDevice> devices = new ArrayList<>();

    /// Opens an image that a recipe made.
    static OpenImage open(Recipe recipe, Path image, boolean readOnly) throws BlockException {
        OpenImage opened = new OpenImage();
        try {
            opened.add(recipe, opened.file(image, readOnly), image, readOnly);
            return opened;
        } catch (BlockException e) {
            opened.close();
            throw e;
        }
    }

    /// Opens an image whose file is some other device.
    static OpenImage open(Recipe recipe, Gate file, Path image) throws BlockException {
        OpenImage opened = new OpenImage();
        try {
            opened.add(recipe, file, image, false);
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

    private void add(Recipe recipe, Gate file, Path image, boolean readOnly) throws BlockException {
        Gate data = recipe.external() ? file(Recipe.dataFile(image), readOnly) : null;
        add(Qcow2Device.open(file, backing(recipe, image), data, OPTIONS, readOnly));
    }

    private @Nullable Gate backing(Recipe recipe, Path image) throws BlockException {
        if (recipe.below() == Below.NOTHING) {
            return null;
        }
        Gate file = file(recipe.backingFile(image), true);
        return recipe.below().raw()
                ? file
                : Gate.readOnly(add(Qcow2Device.open(file, null, null, OPTIONS, true)));
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
