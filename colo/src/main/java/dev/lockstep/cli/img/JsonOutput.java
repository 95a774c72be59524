package dev.lockstep.cli.img;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.NumericNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.Map;

/// Prints a tree as qemu-img does: four columns a level, every item on a line of its own.
final class JsonOutput {
    /// Alone, without a mapper: that would take 30 ms to make, and has nothing to map.
    private static final JsonFactory FACTORY = new JsonFactory();

    private static final DefaultIndenter INDENTER = new DefaultIndenter("    ", "\n");

    private JsonOutput() {}

    static String of(JsonNode tree) {
        Separators separators =
                Separators.createDefaultInstance()
                        .withObjectFieldValueSpacing(Separators.Spacing.AFTER);
        DefaultPrettyPrinter printer =
                new DefaultPrettyPrinter(separators)
                        .withObjectIndenter(INDENTER)
                        .withArrayIndenter(INDENTER);
        StringWriter text = new StringWriter();
        try (JsonGenerator generator = FACTORY.createGenerator(text)) {
            write(tree, generator.setPrettyPrinter(printer));
        } catch (IOException e) {
            throw new UncheckedIOException("a tree that cannot be written", e);
        }
        return text + "\n";
    }

    private static void write(JsonNode tree, JsonGenerator generator) throws IOException {
        switch (tree) {
            case ObjectNode object -> {
                generator.writeStartObject();
                for (Map.Entry<String, JsonNode> member : object.properties()) {
                    generator.writeFieldName(member.getKey());
                    write(member.getValue(), generator);
                }
                generator.writeEndObject();
            }
            case ArrayNode array -> {
                generator.writeStartArray();
                for (JsonNode item : array) {
                    write(item, generator);
                }
                generator.writeEndArray();
            }
            case BooleanNode truth -> generator.writeBoolean(truth.booleanValue());
            case NumericNode number -> generator.writeNumber(number.asText());
            default -> generator.writeString(tree.textValue());
        }
    }
}
