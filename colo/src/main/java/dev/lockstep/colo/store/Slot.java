package dev.lockstep.colo.store;

import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Standing;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32C;

/// One slot of a state file, as text:
///
///     lockstep-state 1
///     sequence 17
///     standing FOLLOWING
///     pair 0123456789abcdef0123456789abcdef
///     generation 0123456789abcdef0123456789abcdef
///     epoch 4
///     open true
///     volatile-buffers false
///     ancestors 0123456789abcdef0123456789abcdef ...
///     crc32c 89abcdef
///
/// Exactly these lines, in this order, each ended by a newline. The checksum covers every byte
/// before its own line.
record Slot(long sequence, DurableRecord record) {
    private static final String MAGIC = "lockstep-state 1";
    private static final String CHECKSUM = "crc32c ";
    private static final int HEX_RADIX = 16;

    /// 64 ancestors of 33 characters are 2112; the other lines stay below 300.
    static final int BYTES_MAX = 4096;

    /// The same slot, with a record that does not claim a clean stop.
    Slot opened() {
        return new Slot(sequence, record.opened());
    }

    byte[] encode() {
        Identity identity = record.identity();
        StringBuilder text = new StringBuilder(MAGIC).append('\n');
        line(text, "sequence", sequence);
        line(text, "standing", record.standing());
        line(text, "pair", identity.pair());
        line(text, "generation", identity.generation());
        line(text, "epoch", identity.epoch());
        line(text, "open", record.open());
        line(text, "volatile-buffers", record.volatileBuffers());
        line(
                text,
                "ancestors",
                String.join(" ", identity.ancestors().stream().map(Nonce::toString).toList()));
        String body = text.toString();
        return (body + CHECKSUM + checksum(body) + "\n").getBytes(StandardCharsets.US_ASCII);
    }

    /// The slot that these bytes are, or nothing if they are damaged in any way.
    static Optional<Slot> decode(byte[] bytes) {
        if (bytes.length > BYTES_MAX) {
            return Optional.empty();
        }
        String text = new String(bytes, StandardCharsets.ISO_8859_1);
        int end = text.lastIndexOf(CHECKSUM);
        if (end < 0 || !text.startsWith(MAGIC + "\n")) {
            return Optional.empty();
        }
        String body = text.substring(0, end);
        if (!text.substring(end).equals(CHECKSUM + checksum(body) + "\n")) {
            return Optional.empty();
        }
        try {
            return Optional.of(parse(body));
        } catch (IllegalArgumentException malformed) {
            // The checksum is right, so this was written by something else than this program.
            return Optional.empty();
        }
    }

    private static Slot parse(String body) {
        Map<String, String> fields = new LinkedHashMap<>();
        for (String line : body.lines().toList()) {
            int space = line.indexOf(' ');
            if (space > 0) {
                fields.put(line.substring(0, space), line.substring(space + 1));
            }
        }
        List<Nonce> ancestors = new ArrayList<>();
        for (String ancestor : field(fields, "ancestors").split(" ", -1)) {
            if (!ancestor.isEmpty()) {
                ancestors.add(Nonce.parse(ancestor));
            }
        }
        Identity identity =
                new Identity(
                        Nonce.parse(field(fields, "pair")),
                        Nonce.parse(field(fields, "generation")),
                        ancestors,
                        Long.parseLong(field(fields, "epoch")));
        DurableRecord record =
                new DurableRecord(
                        Standing.valueOf(field(fields, "standing")),
                        identity,
                        Boolean.parseBoolean(field(fields, "open")),
                        Boolean.parseBoolean(field(fields, "volatile-buffers")));
        return new Slot(Long.parseLong(field(fields, "sequence")), record);
    }

    private static String field(Map<String, String> fields, String name) {
        String value = fields.get(name);
        if (value == null) {
            throw new IllegalArgumentException("no line '" + name + "'");
        }
        return value;
    }

    private static void line(StringBuilder text, String name, Object value) {
        text.append(name).append(' ').append(value).append('\n');
    }

    private static String checksum(String body) {
        CRC32C crc = new CRC32C();
        crc.update(body.getBytes(StandardCharsets.ISO_8859_1));
        String hex = Long.toString(crc.getValue(), HEX_RADIX);
        return "0".repeat(Long.BYTES - hex.length()) + hex;
    }
}
