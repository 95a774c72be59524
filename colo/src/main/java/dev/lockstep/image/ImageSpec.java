package dev.lockstep.image;

import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.open.Options;

import org.jspecify.annotations.Nullable;

/// What a person says on a command line about a disk.
///
/// @param text a path, a URI or `json:{...}`; or a list of dotted options
/// @param format the format that was named, or null to find it by looking
/// @param dotted whether `text` is a list of options, as after `--image-opts`
public record ImageSpec(String text, @Nullable String format, boolean dotted) {
    /// The tree of options that it means. Without `driver`, its format is found by looking.
    ///
    /// @throws IllegalArgumentException with one sentence that says what is wrong
    public Options tree() {
        if (dotted && format != null) {
            throw new IllegalArgumentException(
                    "--image-opts names the driver itself: leave -f out");
        }
        Options tree = dotted ? ImageText.parseOptions(text) : ImageText.parse(text);
        if (format == null) {
            return tree;
        }
        if (tree.find("driver") != null) {
            throw new IllegalArgumentException(
                    "'%s' names the driver itself: leave -f out".formatted(text));
        }
        return ImageName.withFormat(tree, format);
    }
}
