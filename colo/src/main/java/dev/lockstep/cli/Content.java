package dev.lockstep.cli;

import dev.lockstep.block.filter.probe.ImageFormat;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;

/// What a disk seems to hold: the words of the program `file`, as nbdinfo has them, or where that
/// is missing the image formats that we know ourselves.
final class Content {
    /// How many bytes are looked at, as nbdinfo does.
    static final int PROBE_BYTES = 8192;

    private Content() {}

    /// What a disk that begins with these bytes seems to hold, or null if nobody knows.
    static @Nullable String of(byte[] head) {
        try {
            return askFile(head);
        } catch (IOException _) {
            ImageFormat format = ImageFormat.of(head);
            return format == ImageFormat.RAW ? null : format.label() + " image";
        }
    }

    private static @Nullable String askFile(byte[] head) throws IOException {
        Process file =
                new ProcessBuilder("file", "-b", "-").redirectError(Redirect.DISCARD).start();
        try (OutputStream input = file.getOutputStream()) {
            input.write(head);
        } catch (IOException _) {
            // It knows enough before it has read all.
        }
        String words = new String(file.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return words.isBlank() ? null : words.strip().replace('\n', ' ');
    }
}
