package dev.lockstep.qmp;

import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.io.UncheckedIOException;

/// The JSON dialect of QMP: single quotes are understood, keys are unique, output is ASCII and ends
/// with CRLF.
public final class Json {
    /// Objects and arrays within each other; the schema needs fewer than ten, QEMU allows as many.
    static final int NESTING_MAX = 1024;

    /// Apart, because a mapper takes 30 ms to make, and whoever only builds a tree needs none.
    private static final class Mapper {
        static final JsonMapper MAPPER =
                JsonMapper.builder(
                                new JsonFactoryBuilder()
                                        .streamReadConstraints(
                                                StreamReadConstraints.builder()
                                                        .maxNestingDepth(NESTING_MAX)
                                                        .build())
                                        .enable(JsonReadFeature.ALLOW_SINGLE_QUOTES)
                                        .enable(JsonWriteFeature.ESCAPE_NON_ASCII)
                                        .build())
                        .enable(DeserializationFeature.FAIL_ON_READING_DUP_TREE_KEY)
                        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                        .build();

        private Mapper() {}
    }

    private Json() {}

    /// A new, empty object.
    public static ObjectNode object() {
        return JsonNodeFactory.instance.objectNode();
    }

    /// A new, empty array.
    public static ArrayNode array() {
        return JsonNodeFactory.instance.arrayNode();
    }

    /// The object that a record makes.
    public static ObjectNode of(Record value) {
        return Mapper.MAPPER.valueToTree(value);
    }

    /// Reads one document.
    ///
    /// @throws IOException with a short reason if it is none
    static JsonNode parse(byte[] bytes, int length) throws IOException {
        try {
            return Mapper.MAPPER.readTree(bytes, 0, length);
        } catch (JsonProcessingException e) {
            throw new IOException(e.getOriginalMessage(), e);
        }
    }

    /// Reads one document from text.
    ///
    /// @throws IOException with a short reason if it is none
    public static JsonNode parse(String text) throws IOException {
        try {
            return Mapper.MAPPER.readTree(text);
        } catch (JsonProcessingException e) {
            throw new IOException(e.getOriginalMessage(), e);
        }
    }

    /// One document on one line.
    public static String text(JsonNode document) {
        return document.toString();
    }

    /// One message as it goes over the wire.
    static byte[] line(JsonNode document) {
        try {
            byte[] bytes = Mapper.MAPPER.writeValueAsBytes(document);
            byte[] line = new byte[bytes.length + 2];
            System.arraycopy(bytes, 0, line, 0, bytes.length);
            line[bytes.length] = '\r';
            line[bytes.length + 1] = '\n';
            return line;
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException("a tree that cannot be written", e);
        }
    }
}
