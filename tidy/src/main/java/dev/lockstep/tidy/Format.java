package dev.lockstep.tidy;

import com.google.googlejavaformat.java.Formatter;
import com.google.googlejavaformat.java.FormatterException;
import com.google.googlejavaformat.java.ImportOrderer;
import com.google.googlejavaformat.java.JavaFormatterOptions;
import com.google.googlejavaformat.java.RemoveUnusedImports;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;

/// Formats the sources that changed since the last run; with `CI` set in the environment it changes
/// nothing and fails, naming the files that are not formatted.
public final class Format {
    private static final Formatter FORMATTER =
            new Formatter(
                    JavaFormatterOptions.builder().style(JavaFormatterOptions.Style.AOSP).build());

    private Format() {}

    /// Formats below the root folder that is the only argument.
    public static void main(String[] arguments) throws IOException {
        Path root = Path.of(arguments[0]);
        boolean checkOnly = System.getenv("CI") != null;
        Path stamp = root.resolve("tidy/target/formatted.stamp");
        FileTime formattedUntil =
                Files.exists(stamp) && !checkOnly
                        ? Files.getLastModifiedTime(stamp)
                        : FileTime.fromMillis(0);
        List<Path> unformatted = new ArrayList<>();
        for (Path file : Sources.javaFiles(root)) {
            if (Files.getLastModifiedTime(file).compareTo(formattedUntil) < 0) {
                continue;
            }
            String source = Files.readString(file);
            String formatted = format(file, source);
            if (!formatted.equals(source)) {
                unformatted.add(root.relativize(file));
                if (!checkOnly) {
                    Files.writeString(file, formatted);
                }
            }
        }
        if (checkOnly && !unformatted.isEmpty()) {
            System.err.println(
                    "not formatted, run `mvn process-classes -pl tidy` and commit: " + unformatted);
            System.exit(1);
        }
        Files.createDirectories(stamp.getParent());
        Files.writeString(stamp, "");
    }

    private static String format(Path file, String source) {
        try {
            String ordered = ImportOrderer.reorderImports(source, JavaFormatterOptions.Style.AOSP);
            String filled = MarkdownComments.fill(ordered);
            return MarkdownComments.mend(
                    FORMATTER.formatSource(RemoveUnusedImports.removeUnusedImports(filled)));
        } catch (FormatterException e) {
            throw new IllegalStateException(file + " does not parse: " + e.getMessage(), e);
        }
    }
}
