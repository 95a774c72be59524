package dev.lockstep.image;

import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/// Reads what people write for a disk.
public final class ImageText {
    private static final String JSON = "json:";

    private static final String MODE = "unix:mode";
    private static final int TYPE_MASK = 0170000;
    private static final int TYPE_BLOCK = 0060000;

    private ImageText() {}

    /// Reads a path, a URI or `json:{...}`. If the tree has no `driver`, nobody has said which
    /// format its `file` has.
    ///
    /// @throws IllegalArgumentException with one sentence that says what is wrong
    public static Options parse(String text) {
        if (text.startsWith(JSON)) {
            return completed(JsonOptions.parse(text.substring(JSON.length())));
        }
        return Options.EMPTY.with("file", protocol(text));
    }

    /// Reads dotted options, as after `--image-opts`. If the tree has no `driver`, nobody has said
    /// which format its `file` has.
    ///
    /// @throws IllegalArgumentException with one sentence that says what is wrong
    public static Options parseOptions(String text) {
        return completed(KeyValues.parse(text, "file"));
    }

    /// Fills in what a file name says: a node with a `filename` and without a `driver` is what the
    /// name means.
    private static Options completed(Options tree) {
        Map<String, Option> values = new LinkedHashMap<>();
        tree.values().forEach((key, value) -> values.put(key, completedChild(value)));
        Options completed = new Options(values);
        if (completed.find("driver") == null
                && completed.find("filename") instanceof Option.Text(String name)) {
            return completed.without("filename").with("file", protocol(name));
        }
        return completed;
    }

    private static Option completedChild(Option value) {
        if (!(value instanceof Options tree)) {
            return value;
        }
        if (tree.find("driver") == null
                && tree.find("filename") instanceof Option.Text(String name)) {
            Map<String, Option> merged = new LinkedHashMap<>(protocol(name).values());
            merged.putAll(tree.without("filename").values());
            return new Options(merged);
        }
        return completed(tree);
    }

    /// What a file name means, by the protocol that it begins with.
    private static Options protocol(String text) {
        if (!ImageName.hasProtocol(text)) {
            return file(text);
        }
        int colon = text.indexOf(':');
        String protocol = text.substring(0, colon);
        return switch (protocol.toLowerCase(Locale.ROOT)) {
            case "file" -> file(text.substring(colon + 1));
            case "blkdebug" -> {
                String[] parts = parts(text, "CONFIG");
                yield blkdebug(parts[1], parts[2]);
            }
            case "blkverify" -> {
                String[] parts = parts(text, "RAW");
                yield Options.EMPTY
                        .with("driver", "blkverify")
                        .with("raw", protocol(parts[1]))
                        .with("test", parse(parts[2]));
            }
            case "nbd",
                    "nbd+tcp",
                    "nbd+unix",
                    "nbds",
                    "nbds+tcp",
                    "nbds+unix",
                    "nbd+vsock",
                    "nbds+vsock" ->
                    nbd(text);
            case "null-co", "null-aio" -> Options.EMPTY.with("driver", protocol);
            default ->
                    throw new IllegalArgumentException(
                            "the protocol '%s' of '%s' is not known; a file of that name is ./%s"
                                    .formatted(protocol, text, text));
        };
    }

    /// Cuts `PROTOCOL:FIRST:IMAGE` at its first two colons.
    private static String[] parts(String text, String first) {
        String[] parts = text.split(":", 3);
        if (parts.length < 3) {
            throw new IllegalArgumentException(
                    "'%s' names no image: write %s:%s:IMAGE".formatted(text, parts[0], first));
        }
        return parts;
    }

    private static Options blkdebug(String config, String image) {
        return Options.EMPTY
                .with("driver", "blkdebug")
                .with("config", config)
                .with("image", protocol(image));
    }

    private static Options file(String name) {
        if (name.isEmpty()) {
            throw new IllegalArgumentException("an empty path names no file");
        }
        return Options.EMPTY
                .with("driver", isBlockDevice(name) ? "host_device" : "file")
                .with("filename", name);
    }

    private static boolean isBlockDevice(String name) {
        try {
            return Files.getAttribute(Path.of(name), MODE) instanceof Integer mode
                    && (mode & TYPE_MASK) == TYPE_BLOCK;
        } catch (IOException | UnsupportedOperationException | InvalidPathException _) {
            return false;
        }
    }

    private static Options nbd(String text) {
        NbdUri uri = NbdUri.parse(text);
        if (uri.tls() != null) {
            return Options.EMPTY.with("driver", "nbd").with("uri", text);
        }
        Options server =
                switch (uri.address()) {
                    case Address.Unix(Path path) ->
                            Options.EMPTY.with("type", "unix").with("path", path.toString());
                    case Address.Tcp(String host, int port) ->
                            Options.EMPTY
                                    .with("type", "inet")
                                    .with("host", host)
                                    .with("port", Integer.toString(port));
                };
        return Options.EMPTY
                .with("driver", "nbd")
                .with("server", server)
                .with("export", uri.export());
    }
}
