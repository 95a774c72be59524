package dev.lockstep.block.file;

import org.junit.jupiter.api.extension.AnnotatedElementContext;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.io.TempDirFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// Temporary folders beside the build's output, which is on a disk; `/tmp` may be in memory.
final class OnDisk implements TempDirFactory {
    /// Where the build writes.
    static final Path PARENT = Path.of("target").toAbsolutePath();

    @Override
    public Path createTempDirectory(AnnotatedElementContext element, ExtensionContext context)
            throws IOException {
        return Files.createTempDirectory(PARENT, "lockstep-test-");
    }
}
