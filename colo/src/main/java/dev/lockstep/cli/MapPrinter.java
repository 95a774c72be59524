package dev.lockstep.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;

import dev.lockstep.nbd.client.StatusExtent;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/// Prints the extents of a metadata context in nbdinfo's layouts, each as soon as it is known to be
/// whole; or only how many bytes there are of each type. So a map takes no room, however long it
/// is.
final class MapPrinter {
    /// More types than any context has; the sums of so many take a few MiB.
    private static final int TYPES_MAX = 64 << 10;

    private static final double PERCENT = 100;

    private final String context;
    private final PrintWriter out;
    private final @Nullable JsonGenerator json;
    private final @Nullable Map<Long, Long> sums;

    /// What the next extent may still be joined to.
    private @Nullable StatusExtent last;

    /// @param totals whether only sums are printed
    MapPrinter(PrintStream to, String context, boolean json, boolean totals) throws IOException {
        this.context = context;
        this.out = new PrintWriter(new OutputStreamWriter(to, StandardCharsets.UTF_8));
        this.json =
                json
                        ? new JsonFactory()
                                .disable(JsonGenerator.Feature.AUTO_CLOSE_TARGET)
                                .disable(JsonGenerator.Feature.AUTO_CLOSE_JSON_CONTENT)
                                .createGenerator(out)
                                .useDefaultPrettyPrinter()
                        : null;
        this.sums = totals ? new TreeMap<>() : null;
    }

    void begin() throws IOException {
        if (json != null) {
            json.writeStartArray();
        }
    }

    /// Takes the next extent.
    void add(StatusExtent extent) throws IOException {
        StatusExtent before = last;
        if (sums != null) {
            sums.merge(extent.flags(), extent.length(), Long::sum);
            if (sums.size() > TYPES_MAX) {
                throw new IOException("the map has more than %d types".formatted(TYPES_MAX));
            }
        } else if (before != null && before.flags() == extent.flags()) {
            long length = before.length() + extent.length();
            last = new StatusExtent(before.offset(), length, before.flags());
        } else {
            printLast();
            last = extent;
        }
    }

    /// Prints what is left, or the sums.
    void end() throws IOException {
        printLast();
        if (sums != null) {
            double whole = sums.values().stream().mapToLong(Long::longValue).sum() / PERCENT;
            for (Map.Entry<Long, Long> sum : sums.entrySet()) {
                print(sum.getKey(), sum.getValue(), sum.getValue() / whole);
            }
        }
        if (json != null) {
            json.writeEndArray();
            json.writeRaw('\n');
        }
        flush();
    }

    /// Lets readers have what was printed.
    ///
    /// @throws IOException if nobody reads it any more
    void flush() throws IOException {
        if (json != null) {
            json.flush();
        }
        if (out.checkError()) {
            throw new IOException("nobody reads the map any more");
        }
    }

    private void printLast() throws IOException {
        StatusExtent extent = last;
        if (extent == null) {
            return;
        }
        String words = words(context, extent.flags());
        if (json == null) {
            line(
                    "%10d  %10d  %3d  %s"
                            .formatted(extent.offset(), extent.length(), extent.flags(), words));
        } else {
            json.writeStartObject();
            json.writeNumberField("offset", extent.offset());
            json.writeNumberField("length", extent.length());
            writeType(json, extent.flags(), words);
        }
    }

    private void print(long flags, long bytes, double percent) throws IOException {
        String words = words(context, flags);
        if (json == null) {
            line(String.format(Locale.ROOT, "%10d %5.1f%% %3d %s", bytes, percent, flags, words));
        } else {
            json.writeStartObject();
            json.writeNumberField("size", bytes);
            json.writeNumberField("percent", percent);
            writeType(json, flags, words);
        }
    }

    private void line(String line) {
        out.print(line.stripTrailing() + "\n");
    }

    private static void writeType(JsonGenerator json, long flags, String words) throws IOException {
        json.writeNumberField("type", flags);
        if (!words.isEmpty()) {
            json.writeStringField("description", words);
        }
        json.writeEndObject();
    }

    /// What a type means, for the contexts that are widely known; else nothing.
    private static String words(String context, long flags) {
        if (context.equals("base:allocation")) {
            return switch ((int) flags) {
                case 0 -> "data";
                case 1 -> "hole";
                case 2 -> "zero";
                case 3 -> "hole,zero";
                default -> "";
            };
        }
        if (context.startsWith("qemu:dirty-bitmap:")) {
            return flags == 0 ? "clean" : flags == 1 ? "dirty" : "";
        }
        if (context.equals("qemu:allocation-depth")) {
            return flags == 0 ? "absent" : flags == 1 ? "local" : "backing depth " + flags;
        }
        return "";
    }
}
