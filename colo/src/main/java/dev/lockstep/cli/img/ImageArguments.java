package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.UserObjects;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// The options that say what FILE is.
final class ImageArguments {
    @Mixin private ObjectArguments objects = new ObjectArguments();

    @Option(
            names = "-f",
            paramLabel = "FMT",
            description = "The image's format. Default: found out by looking.")
    private @Nullable String format;

    @Option(
            names = "--image-opts",
            description = "FILE is a list of options, as in driver=raw,file.filename=PATH.")
    private boolean dotted;

    ImageSpec spec(String file) throws BlockException {
        return spec(file, format);
    }

    /// The same for another file, whose format has an option of its own.
    ImageSpec spec(String file, @Nullable String otherFormat) throws BlockException {
        return new ImageSpec(file, otherFormat, dotted, objects());
    }

    /// What `--object` defines.
    UserObjects objects() throws BlockException {
        return objects.objects();
    }
}
