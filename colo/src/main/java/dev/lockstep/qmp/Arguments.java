package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.util.Optional;

/// The arguments of one command, already checked against its [Parameter]s: what is required is
/// there, and everything has its declared type.
public record Arguments(ObjectNode json) {
    /// Whether an optional argument was given.
    public boolean has(String name) {
        return json.has(name);
    }

    /// A required string.
    public String string(String name) {
        return json.required(name).textValue();
    }

    /// A string, or what it is when left out.
    public String string(String name, String otherwise) {
        return optionalString(name).orElse(otherwise);
    }

    /// An optional string.
    public Optional<String> optionalString(String name) {
        return Optional.ofNullable(json.get(name)).map(JsonNode::textValue);
    }

    /// A required integer.
    public long integer(String name) {
        return json.required(name).longValue();
    }

    /// A required boolean.
    public boolean bool(String name) {
        return json.required(name).booleanValue();
    }

    /// A boolean, or what it is when left out.
    public boolean bool(String name, boolean otherwise) {
        return json.has(name) ? bool(name) : otherwise;
    }
}
