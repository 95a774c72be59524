package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.UserObjects;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// The one image that a command is about.
final class ImageFile {
    @Mixin private ImageArguments arguments = new ImageArguments();

    @Parameters(index = "0", paramLabel = "FILE", description = "The image.")
    @SuppressWarnings("NullAway.Init")
    private String name;

    /// As it was given.
    String name() {
        return name;
    }

    ImageSpec spec() throws BlockException {
        return arguments.spec(name);
    }

    /// What `--object` defines.
    UserObjects objects() throws BlockException {
        return arguments.objects();
    }
}
