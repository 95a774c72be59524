package dev.lockstep.image;

import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;

import org.jspecify.annotations.Nullable;

/// What a person says on a command line about a disk.
///
/// @param text a path, a URI or `json:{...}`; or a list of dotted options
/// @param format the format that was named, or null to find it by looking
/// @param dotted whether `text` is a list of options, as after `--image-opts`
/// @param objects what its options may name
public record ImageSpec(String text, @Nullable String format, boolean dotted, UserObjects objects) {
    /// One that names no objects.
    public ImageSpec(String text, @Nullable String format, boolean dotted) {
        this(text, format, dotted, UserObjects.NONE);
    }

    /// The same with objects that its options may name.
    public ImageSpec with(UserObjects defined) {
        return new ImageSpec(text, format, dotted, defined);
    }

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

    /// The same for the disk as it was when a snapshot inside the image was taken.
    ///
    /// @param snapshot an id or a name, or `snapshot.id=ID,snapshot.name=NAME`; null for the disk
    /// @throws IllegalArgumentException as [#tree()]
    public Options tree(@Nullable String snapshot) {
        return snapshot == null ? tree() : tree().with("load-snapshot", wanted(snapshot));
    }

    private static Option wanted(String snapshot) {
        if (!snapshot.startsWith("snapshot.")) {
            return new Option.Text(snapshot);
        }
        Options keys = KeyValues.parse(snapshot);
        if (keys.values().size() > 1 || !(keys.find("snapshot") instanceof Options wanted)) {
            throw new IllegalArgumentException(
                    "-l %s: write snapshot.id=ID,snapshot.name=NAME".formatted(snapshot));
        }
        return wanted;
    }
}
