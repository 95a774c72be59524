package dev.lockstep.cli.img;

import dev.lockstep.image.ImageSpec;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

/// The options that say what FILE is.
final class ImageArguments {
    @Option(
            names = "-f",
            paramLabel = "FMT",
            description = "The image's format. Default: found out by looking.")
    private @Nullable String format;

    @Option(
            names = "--image-opts",
            description = "FILE is a list of options, as in driver=raw,file.filename=PATH.")
    private boolean dotted;

    ImageSpec spec(String file) {
        return new ImageSpec(file, format, dotted);
    }

    /// The same for another file, whose format has an option of its own.
    ImageSpec spec(String file, @Nullable String otherFormat) {
        return new ImageSpec(file, otherFormat, dotted);
    }
}
