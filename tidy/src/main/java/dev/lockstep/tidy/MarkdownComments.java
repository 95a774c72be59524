package dev.lockstep.tidy;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/// Fills the paragraphs of Markdown comments to the line length, which the formatter does not know
/// how to do. Lists, tags, tables, code and headings stay as they are.
final class MarkdownComments {
    private static final int LINE_LENGTH_MAX = 100;

    /// The first characters of a line that is not running text.
    private static final Pattern NOT_TEXT =
            Pattern.compile("^(\\s|[-*+] |\\d+\\. |@|\\||#|```|>).*");

    private static final Pattern SPACES = Pattern.compile(" +");
    private static final Pattern WRAPPED = Pattern.compile("(?m)(^ *///.*\\R^ *)//(?!/)");

    private MarkdownComments() {}

    /// The formatter wraps a long line of a comment into a plain comment; this makes it Markdown
    /// again.
    static String mend(String formatted) {
        return WRAPPED.matcher(formatted).replaceAll("$1///");
    }

    static String fill(String source) {
        List<String> filled = new ArrayList<>();
        List<String> paragraph = new ArrayList<>();
        String prefix = "";
        boolean code = false;
        for (String line : source.split("\n", -1)) {
            int start = line.indexOf("///");
            boolean comment = start >= 0 && line.substring(0, start).isBlank();
            String text = comment ? line.substring(start + 3) : "";
            boolean running =
                    comment
                            && !code
                            && text.startsWith(" ")
                            && !text.isBlank()
                            && !NOT_TEXT.matcher(text.substring(1)).matches();
            if (comment && text.strip().startsWith("```")) {
                code = !code;
            }
            String linePrefix = comment ? line.substring(0, start) + "/// " : "";
            if (!running || !linePrefix.equals(prefix)) {
                flush(paragraph, prefix, filled);
            }
            if (running) {
                prefix = linePrefix;
                paragraph.add(text.strip());
            } else {
                filled.add(line);
                prefix = "";
            }
        }
        flush(paragraph, prefix, filled);
        return String.join("\n", filled);
    }

    private static void flush(List<String> paragraph, String prefix, List<String> filled) {
        if (paragraph.isEmpty()) {
            return;
        }
        StringBuilder line = new StringBuilder(prefix);
        for (String word : SPACES.splitAsStream(String.join(" ", paragraph)).toList()) {
            boolean first = line.length() == prefix.length();
            if (!first && line.length() + 1 + word.length() > LINE_LENGTH_MAX) {
                filled.add(line.toString());
                line = new StringBuilder(prefix);
                first = true;
            }
            line.append(first ? "" : " ").append(word);
        }
        filled.add(line.toString());
        paragraph.clear();
    }
}
