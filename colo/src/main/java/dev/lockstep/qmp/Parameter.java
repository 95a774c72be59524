package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.JsonNode;

/// One parameter that a command takes. A command refuses every argument that it did not declare.
public record Parameter(String name, Type type, boolean optional) {
    /// What an argument's value may be.
    public enum Type {
        /// A JSON string.
        STRING("string"),
        /// A JSON number that fits a signed 64-bit integer.
        INTEGER("integer"),
        /// Any JSON number.
        NUMBER("number"),
        /// `true` or `false`.
        BOOLEAN("boolean"),
        /// A JSON object, passed on unchecked.
        OBJECT("object"),
        /// A JSON array, passed on unchecked.
        ARRAY("array"),
        /// Anything.
        ANY("value");

        private final String wireName;

        Type(String wireName) {
            this.wireName = wireName;
        }

        boolean accepts(JsonNode value) {
            return switch (this) {
                case STRING -> value.isTextual();
                case INTEGER -> value.isIntegralNumber() && value.canConvertToLong();
                case NUMBER -> value.isNumber();
                case BOOLEAN -> value.isBoolean();
                case OBJECT -> value.isObject();
                case ARRAY -> value.isArray();
                case ANY -> true;
            };
        }
    }

    /// A parameter that must be given.
    public static Parameter required(String name, Type type) {
        return new Parameter(name, type, false);
    }

    /// A parameter that may be left out.
    public static Parameter optional(String name, Type type) {
        return new Parameter(name, type, true);
    }

    void check(JsonNode value) throws QmpException {
        if (!type.accepts(value)) {
            throw new QmpException(
                    "Invalid parameter type for '%s', expected: %s".formatted(name, type.wireName));
        }
    }
}
