package dev.lockstep.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;

import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.RemoteExport;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.StringWriter;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// Writes what `lockstep info` found, as nbdinfo does: the lines, their order and the keys are what
/// scripts know.
///
/// @param json one JSON value instead of lines for people
/// @param places whether URIs are told: those of a server that ends with us are of no use
record InfoPrinter(boolean json, boolean places) {
    /// Everything about a server and some of its exports.
    String exports(HeaderStyle headers, boolean encrypted, List<ExportFacts> exports)
            throws IOException {
        return json
                ? exportsJson(headers, encrypted, exports)
                : exportsText(headers, encrypted, exports);
    }

    private String exportsText(HeaderStyle headers, boolean encrypted, List<ExportFacts> exports) {
        StringBuilder text = new StringBuilder();
        text.append(
                "protocol: newstyle-fixed %s TLS, using %s packets\n"
                        .formatted(
                                encrypted ? "with" : "without",
                                headers.name().toLowerCase(Locale.ROOT)));
        for (ExportFacts facts : exports) {
            text.append("export=\"%s\":\n".formatted(facts.name()));
            line(text, "description", facts.description());
            RemoteExport export = facts.export();
            if (export != null) {
                line(text, "export-size", withHuman(export.size()));
            }
            line(text, "content", facts.content());
            line(text, "uri", places ? facts.uri().format() : null);
            if (!facts.contexts().isEmpty()) {
                text.append("\tcontexts:\n");
                facts.contexts().forEach(name -> text.append("\t\t").append(name).append('\n'));
            }
            facts.properties()
                    .forEach(
                            (name, value) ->
                                    line(
                                            text,
                                            name,
                                            value instanceof Long bytes
                                                    ? withHuman(bytes)
                                                    : value.toString()));
        }
        return text.toString();
    }

    private static void line(StringBuilder text, String name, @Nullable String value) {
        if (value != null && !value.isEmpty()) {
            text.append('\t').append(name).append(": ").append(value).append('\n');
        }
    }

    private String exportsJson(HeaderStyle headers, boolean encrypted, List<ExportFacts> exports)
            throws IOException {
        return generated(
                generator -> {
                    generator.writeStartObject();
                    generator.writeStringField("protocol", "newstyle-fixed");
                    generator.writeBooleanField("TLS", encrypted);
                    generator.writeBooleanField("structured", headers != HeaderStyle.SIMPLE);
                    generator.writeBooleanField("extended", headers == HeaderStyle.EXTENDED);
                    generator.writeArrayFieldStart("exports");
                    for (ExportFacts facts : exports) {
                        export(generator, facts);
                    }
                    generator.writeEndArray();
                    generator.writeEndObject();
                });
    }

    private void export(JsonGenerator generator, ExportFacts facts) throws IOException {
        generator.writeStartObject();
        generator.writeStringField("export-name", facts.name());
        if (!facts.description().isEmpty()) {
            generator.writeStringField("description", facts.description());
        }
        if (facts.content() != null) {
            generator.writeStringField("content", facts.content());
        }
        if (places) {
            generator.writeStringField("uri", facts.uri().format());
        }
        if (!facts.contexts().isEmpty()) {
            generator.writeArrayFieldStart("contexts");
            for (String name : facts.contexts()) {
                generator.writeString(name);
            }
            generator.writeEndArray();
        }
        for (Map.Entry<String, Object> property : facts.properties().entrySet()) {
            generator.writePOJOField(property.getKey(), property.getValue());
        }
        RemoteExport export = facts.export();
        if (export != null) {
            generator.writeNumberField("export-size", export.size());
            generator.writeStringField("export-size-str", human(export.size()));
        }
        generator.writeEndObject();
    }

    /// A URI alone.
    String uri(NbdUri uri) throws IOException {
        return json
                ? generated(generator -> generator.writeString(uri.format()))
                : uri.format() + "\n";
    }

    /// A size alone.
    String size(long bytes) {
        return bytes + "\n";
    }

    private static String withHuman(long bytes) {
        String human = human(bytes);
        return human.equals(Long.toString(bytes)) ? human : bytes + " (" + human + ")";
    }

    /// Bytes in the largest unit that divides them: 10M, 2075312K, 1000.
    private static String human(long bytes) {
        long value = bytes;
        int unit = 0;
        while (value != 0 && value % 1024 == 0) {
            value /= 1024;
            unit++;
        }
        return unit == 0 ? Long.toString(value) : value + "KMGTPE".substring(unit - 1, unit);
    }

    private interface Writing {
        void write(JsonGenerator generator) throws IOException;
    }

    private static String generated(Writing content) throws IOException {
        StringWriter text = new StringWriter();
        try (JsonGenerator generator =
                new JsonFactory().createGenerator(text).useDefaultPrettyPrinter()) {
            content.write(generator);
        }
        return text + "\n";
    }
}
