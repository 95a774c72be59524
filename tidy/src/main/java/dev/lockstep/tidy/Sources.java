package dev.lockstep.tidy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// The Java sources of every module below the project's root.
public final class Sources {
    /// In the order in which they may depend on each other: a module may use those before it.
    public static final List<String> MODULES =
            List.of("tidy", "block-core", "nbd-server", "nbd-junit", "colo", "it");

    private Sources() {}

    /// Returns every `.java` file below `src` of each module, sorted.
    public static List<Path> javaFiles(Path root) throws IOException {
        List<Path> found = new ArrayList<>();
        for (String module : MODULES) {
            Path folder = root.resolve(module).resolve("src");
            if (Files.isDirectory(folder)) {
                try (Stream<Path> files = Files.walk(folder)) {
                    files.filter(file -> file.toString().endsWith(".java")).forEach(found::add);
                }
            }
        }
        found.sort(null);
        return found;
    }
}
