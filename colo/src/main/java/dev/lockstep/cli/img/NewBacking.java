package dev.lockstep.cli.img;

import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;
import dev.lockstep.image.UserObjects;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/// How what is to lie below a new image is found.
///
/// @param file the image's name, from which a relative name counts
/// @param unsafe the backing file is not looked at
/// @param objects what the options of the backing file may name
record NewBacking(String file, boolean unsafe, UserObjects objects) {
    /// How long the image becomes: looks at the backing file, which says so if nobody else does.
    ///
    /// @param options that are complained about
    /// @param bytes what its user said, or negative
    long length(OptionReader options, long bytes, @Nullable String backing, @Nullable String format)
            throws IOException {
        if (backing != null && backing.isEmpty()) {
            throw options.invalid("the backing file's name is empty: leave -b out");
        }
        if (backing == null || (unsafe && bytes >= 0)) {
            if (bytes < 0) {
                throw options.invalid("say how long the image is to be: SIZE is missing");
            }
            return bytes;
        }
        if (unsafe) {
            throw options.invalid(
                    "say how long the image is to be: with -u the backing file is not looked at");
        }
        ImageSpec spec = new ImageSpec(ImageName.relativeTo(file, backing), format, false, objects);
        try (OpenImage opened = Images.openToRead(spec, "writeback", false)) {
            if (format == null) {
                throw options.invalid(
                        "the backing file's format is missing: say -F %s, if that is what %s is"
                                .formatted(Images.format(opened.image()), backing));
            }
            return bytes >= 0 ? bytes : opened.connect(true).size();
        }
    }
}
