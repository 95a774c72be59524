package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.JsonNode;

import java.util.Map;

/// Prints a tree for people, as qemu-img does with what is specific to a format: a name and a value
/// a line, hyphens as blanks, four columns a level.
final class TextOutput {
    private static final String LEVEL = "    ";

    private TextOutput() {}

    /// The members of an object.
    static String of(JsonNode object, int level) {
        StringBuilder text = new StringBuilder();
        for (Map.Entry<String, JsonNode> member : object.properties()) {
            add(text, level, member.getKey().replace('-', ' '), member.getValue());
        }
        return text.toString();
    }

    private static void add(StringBuilder text, int level, String name, JsonNode value) {
        text.append(LEVEL.repeat(level)).append(name).append(':');
        if (value.isValueNode()) {
            text.append(' ').append(value.asText()).append('\n');
            return;
        }
        text.append('\n');
        if (value.isObject()) {
            text.append(of(value, level + 1));
            return;
        }
        for (int i = 0; i < value.size(); i++) {
            add(text, level + 1, "[%d]".formatted(i), value.get(i));
        }
    }
}
