package dev.lockstep.colo.cells;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// One cell of a table of `docs/replication-states.md`: what is stored, what is done, what has to
/// come of it.
record Cell(String row, int number, String column, String outcome) {
    private static final Path DOCUMENT = Path.of("..", "docs", "replication-states.md");
    private static final String REFUSED = "refused: ";

    /// Every cell of the table under a heading.
    static List<Cell> under(String heading) {
        List<Cell> cells = new ArrayList<>();
        List<String> columns = List.of();
        for (String line : section(heading)) {
            if (!line.startsWith("| ")) {
                continue;
            }
            List<String> texts = texts(line);
            if (columns.isEmpty()) {
                columns = texts;
                continue;
            }
            for (int number = 1; number < texts.size(); number++) {
                cells.add(new Cell(texts.get(0), number, columns.get(number), texts.get(number)));
            }
        }
        if (cells.isEmpty()) {
            throw new IllegalStateException("%s has no table '%s'".formatted(DOCUMENT, heading));
        }
        return cells;
    }

    private static List<String> section(String heading) {
        try {
            return Files.readAllLines(DOCUMENT).stream()
                    .dropWhile(line -> !line.equals("## " + heading))
                    .skip(1)
                    .takeWhile(line -> !line.startsWith("## "))
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<String> texts(String line) {
        String inner = line.substring(1, line.lastIndexOf('|'));
        return Arrays.stream(inner.split("\\|")).map(String::strip).toList();
    }

    boolean isRefused() {
        return outcome.startsWith(REFUSED);
    }

    /// Why it is refused.
    String reason() {
        return outcome.substring(REFUSED.length());
    }

    @Override
    public String toString() {
        return "%s | %s -> %s".formatted(row, column, outcome);
    }
}
