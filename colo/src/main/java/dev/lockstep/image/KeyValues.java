package dev.lockstep.image;

import dev.lockstep.block.open.Options;

import java.util.ArrayList;
import java.util.List;

/// Reads `key=value,key.part=value`. A comma in a value is written twice. The last value of a key
/// counts.
public final class KeyValues {
    private KeyValues() {}

    /// Reads a text whose every part has a key.
    ///
    /// @throws IllegalArgumentException with one sentence that names the part that is wrong
    public static Options parse(String text) {
        return parse(text, "");
    }

    /// Reads a text whose first part may be a value alone: that of `firstKey`, unless that is
    /// empty.
    ///
    /// @throws IllegalArgumentException with one sentence that names the part that is wrong
    public static Options parse(String text, String firstKey) {
        Options tree = Options.EMPTY;
        String impliedKey = firstKey;
        for (String part : parts(text)) {
            int equals = part.indexOf('=');
            if (equals < 0 && impliedKey.isEmpty()) {
                throw new IllegalArgumentException(
                        "'%s' in '%s' has no value: write key=value, and a comma in a value twice"
                                .formatted(part, text));
            }
            String key = equals < 0 ? impliedKey : part.substring(0, equals);
            tree = tree.with(key, part.substring(equals + 1));
            impliedKey = "";
        }
        return tree;
    }

    private static List<String> parts(String text) {
        List<String> parts = new ArrayList<>();
        StringBuilder part = new StringBuilder();
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            if (c != ',') {
                part.append(c);
            } else if (at + 1 < text.length() && text.charAt(at + 1) == ',') {
                part.append(c);
                at++;
            } else {
                parts.add(part.toString());
                part.setLength(0);
            }
        }
        if (!part.isEmpty()) {
            parts.add(part.toString());
        }
        return parts;
    }
}
