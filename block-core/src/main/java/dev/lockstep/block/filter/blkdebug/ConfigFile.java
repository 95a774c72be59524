package dev.lockstep.block.filter.blkdebug;

import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Reads a file of rules: sections that begin with their name in brackets, and in them lines with a
/// key and its value in quotes. A `#` begins a comment line. That is the form of all configuration
/// files of QEMU.
///
///     [inject-error]
///     event = "cluster_alloc"
///     errno = "28"
final class ConfigFile {
    /// Rules are a few lines; this is a guard against a file that was meant for something else.
    private static final long BYTES_MAX = 1 << 20;

    private static final Pattern SECTION = Pattern.compile("\\[\\s*([\\w-]+)(?: \"[^\"]*\")?\\s*]");
    private static final Pattern LINE = Pattern.compile("([\\w-]+)\\s*=\\s*\"([^\"]*)\"");

    private ConfigFile() {}

    /// The sections as lists of trees, `inject-error` and `set-state`.
    ///
    /// @throws IllegalArgumentException with one sentence that names the line that is wrong
    static Options read(String name) {
        Map<String, List<Options>> sections = new LinkedHashMap<>();
        List<Options> section = List.of();
        int number = 0;
        for (String line : lines(name)) {
            number++;
            String text = line.strip();
            Matcher head = SECTION.matcher(text);
            Matcher pair = LINE.matcher(text);
            if (head.matches()) {
                section = sections.computeIfAbsent(head.group(1), _ -> new ArrayList<>());
                section.add(Options.EMPTY);
            } else if (pair.matches() && !section.isEmpty()) {
                section.add(section.removeLast().with(pair.group(1), pair.group(2)));
            } else if (!text.isEmpty() && !text.startsWith("#")) {
                throw new IllegalArgumentException(
                        ("%s, line %d: '%s' is neither [inject-error] or [set-state] nor, after"
                                        + " one of those, a line such as: event = \"write_aio\"")
                                .formatted(name, number, text));
            }
        }
        Options tree = Options.EMPTY;
        for (var each : sections.entrySet()) {
            tree = tree.with(each.getKey(), new Option.Items(List.copyOf(each.getValue())));
        }
        return tree;
    }

    private static List<String> lines(String name) {
        try {
            Path path = Path.of(name);
            if (Files.size(path) > BYTES_MAX) {
                throw new IllegalArgumentException(
                        "%s is longer than %d bytes, which no file of rules is"
                                .formatted(name, BYTES_MAX));
            }
            return Files.readAllLines(path, StandardCharsets.ISO_8859_1);
        } catch (NoSuchFileException e) {
            throw new IllegalArgumentException("there is no file of rules %s".formatted(name), e);
        } catch (IOException | InvalidPathException e) {
            throw new IllegalArgumentException(
                    "the file of rules %s cannot be read: %s".formatted(name, e.getMessage()), e);
        }
    }
}
