package dev.lockstep.image;

import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Reads what people write for a disk.
public final class ImageText {
    private static final String JSON = "json:";

    /// What QEMU takes for a protocol: no slash before the first colon.
    private static final Pattern PROTOCOL = Pattern.compile("([^/:]+):(.*)", Pattern.DOTALL);

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
        Matcher matcher = PROTOCOL.matcher(text);
        if (!matcher.matches()) {
            return file(text);
        }
        return switch (matcher.group(1)) {
            case "file" -> file(matcher.group(2));
            case "nbd", "nbd+tcp", "nbd+unix", "nbds", "nbds+tcp", "nbds+unix" -> nbd(text);
            case "null-co", "null-aio" -> Options.EMPTY.with("driver", matcher.group(1));
            default ->
                    throw new IllegalArgumentException(
                            "the protocol '%s' of '%s' is not known; a file of that name is ./%s"
                                    .formatted(matcher.group(1), text, text));
        };
    }

    private static Options file(String name) {
        if (name.isEmpty()) {
            throw new IllegalArgumentException("an empty path names no file");
        }
        return Options.EMPTY
                .with("driver", isBlockDevice(Path.of(name)) ? "host_device" : "file")
                .with("filename", name);
    }

    private static boolean isBlockDevice(Path path) {
        try {
            return Files.getAttribute(path, MODE) instanceof Integer mode
                    && (mode & TYPE_MASK) == TYPE_BLOCK;
        } catch (IOException | UnsupportedOperationException _) {
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
