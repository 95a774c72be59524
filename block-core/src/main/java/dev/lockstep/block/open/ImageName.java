package dev.lockstep.block.open;

import dev.lockstep.block.open.Option.Text;

import java.util.regex.Pattern;

/// Names of images, as they stand in other images and on command lines.
public final class ImageName {
    /// What QEMU takes for a protocol: no slash before the first colon.
    private static final Pattern PROTOCOL = Pattern.compile("[^/:]+:.*", Pattern.DOTALL);

    private ImageName() {}

    /// Reads a name: the tree that it means. If that has no `driver`, the name does not say which
    /// format its `file` has.
    @FunctionalInterface
    public interface Reader {
        /// Reads one.
        ///
        /// @throws IllegalArgumentException with one sentence that says what is wrong
        Options read(String name);
    }

    /// A path is all that a program without a [Reader] knows.
    static Options path(String name) {
        return Options.EMPTY.with("file.driver", "file").with("file.filename", name);
    }

    /// Whether it begins with a protocol (`nbd:`, `json:`), so that it is no path.
    public static boolean hasProtocol(String name) {
        return PROTOCOL.matcher(name).matches();
    }

    /// Whether it means the same wherever it is read.
    static boolean isAbsolute(String name) {
        return name.startsWith("/") || hasProtocol(name);
    }

    /// A name that is relative to the folder of a file.
    static String beside(String file, String name) {
        return file.substring(0, file.lastIndexOf('/') + 1) + name;
    }

    /// What a name in an image means that lies in a file: it is relative to the file's folder,
    /// unless it is absolute.
    public static String relativeTo(String file, String name) {
        return isAbsolute(name) ? name : beside(file, name);
    }

    /// The tree of a name, of which somebody says which format it has. All of a raw image is its
    /// file: a node for it would only cost, unless the file is one that looks at what its user
    /// does.
    public static Options withFormat(Options tree, String format) {
        return tree.find("file") instanceof Options file
                        && !new Text("blkdebug").equals(file.find("driver"))
                        && (format.equals("raw") || new Text(format).equals(file.find("driver")))
                ? file
                : tree.with("driver", format);
    }
}
