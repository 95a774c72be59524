package dev.lockstep.image;

import com.fasterxml.jackson.databind.JsonNode;

import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;
import dev.lockstep.qmp.Json;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// Makes a tree of options of a JSON object, whose keys may be dotted as well as nested.
public final class JsonOptions {
    private JsonOptions() {}

    /// Reads a text.
    ///
    /// @throws IllegalArgumentException with one sentence if it is no JSON object
    public static Options parse(String text) {
        try {
            return of(Json.parse(text));
        } catch (IOException e) {
            throw new IllegalArgumentException(
                    "'%s' is no JSON: %s".formatted(text, e.getMessage()));
        }
    }

    /// The tree of an object.
    ///
    /// @throws IllegalArgumentException if it is something else
    public static Options of(JsonNode json) {
        if (!json.isObject()) {
            throw new IllegalArgumentException("'%s' is no JSON object".formatted(json));
        }
        Options tree = Options.EMPTY;
        for (Map.Entry<String, JsonNode> property : json.properties()) {
            tree = tree.with(property.getKey(), value(property.getValue()));
        }
        return tree;
    }

    private static Option value(JsonNode json) {
        return switch (json.getNodeType()) {
            case OBJECT -> of(json);
            case ARRAY -> {
                List<Option> items = new ArrayList<>();
                json.forEach(item -> items.add(value(item)));
                yield new Option.Items(items);
            }
            case BOOLEAN -> new Option.Truth(json.booleanValue());
            case NULL -> new Option.Nothing();
            case NUMBER ->
                    json.canConvertToLong() && json.isIntegralNumber()
                            ? new Option.Whole(json.longValue())
                            : new Option.Text(json.asText());
            default -> new Option.Text(json.asText());
        };
    }
}
