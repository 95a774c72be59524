package dev.lockstep.cli;

import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.client.RemoteExport;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// What `lockstep info` tells about one export.
///
/// @param uri where it is
/// @param name what the server lists it as
/// @param description the server's words about it; empty without any
/// @param export what the server said of it, or null if it tells us nothing
/// @param content what its first bytes look like, or null if nobody looked or knows
record ExportFacts(
        NbdUri uri,
        String name,
        String description,
        @Nullable RemoteExport export,
        @Nullable String content) {

    /// The transmission flags by their names in the output, in its order.
    private static final Map<String, Integer> CAN = can();

    private static Map<String, Integer> can() {
        Map<String, Integer> names = new LinkedHashMap<>();
        names.put("can_block_status_payload", NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD);
        names.put("can_cache", NbdProtocol.FLAG_SEND_CACHE);
        names.put("can_df", NbdProtocol.FLAG_SEND_DF);
        names.put("can_fast_zero", NbdProtocol.FLAG_SEND_FAST_ZERO);
        names.put("can_flush", NbdProtocol.FLAG_SEND_FLUSH);
        names.put("can_fua", NbdProtocol.FLAG_SEND_FUA);
        names.put("can_multi_conn", NbdProtocol.FLAG_CAN_MULTI_CONN);
        names.put("can_trim", NbdProtocol.FLAG_SEND_TRIM);
        names.put("can_zero", NbdProtocol.FLAG_SEND_WRITE_ZEROES);
        return names;
    }

    /// Other spellings of what can be asked for, besides those of case and of what joins words.
    private static final Map<String, String> SPELLINGS =
            Map.of(
                    "sr", "structured-reply",
                    "structured", "structured-reply",
                    "structured-replies", "structured-reply",
                    "eh", "extended-headers",
                    "extended-header", "extended-headers",
                    "readonly", "read-only",
                    "fastzero", "fast-zero",
                    "multiconn", "multi-conn");

    /// These facts and what the first bytes look like.
    ExportFacts withContent(@Nullable String words) {
        return new ExportFacts(uri, name, description, export, words);
    }

    /// Whether the server has what `--can NAME` and `--is NAME` ask for, or null if they cannot ask
    /// for that.
    static @Nullable Boolean answer(String asked, RemoteExport export, boolean encrypted) {
        String plain = asked.toLowerCase(Locale.ROOT).replaceAll("[ _]", "-");
        String question = SPELLINGS.getOrDefault(plain, plain);
        return switch (question) {
            case "connect", "read" -> true;
            case "write" -> !export.has(NbdProtocol.FLAG_READ_ONLY);
            case "read-only" -> export.has(NbdProtocol.FLAG_READ_ONLY);
            case "tls" -> encrypted;
            case "rotational" -> export.has(NbdProtocol.FLAG_ROTATIONAL);
            case "structured-reply" -> export.headers() != HeaderStyle.SIMPLE;
            case "extended-headers" -> export.headers() == HeaderStyle.EXTENDED;
            default -> {
                Integer flag = CAN.get("can_" + question.replace('-', '_'));
                yield flag == null ? null : can(export, flag);
            }
        };
    }

    /// A flag counts only beside what it rests on.
    private static boolean can(RemoteExport export, int flag) {
        return export.has(flag)
                && switch (flag) {
                    case NbdProtocol.FLAG_SEND_DF -> export.headers() != HeaderStyle.SIMPLE;
                    case NbdProtocol.FLAG_SEND_FAST_ZERO ->
                            export.has(NbdProtocol.FLAG_SEND_WRITE_ZEROES);
                    default -> true;
                };
    }

    /// The properties that text and JSON have alike, in their order.
    Map<String, Object> properties() {
        Map<String, Object> properties = new LinkedHashMap<>();
        RemoteExport known = export;
        if (known == null) {
            return properties;
        }
        properties.put("is_rotational", known.has(NbdProtocol.FLAG_ROTATIONAL));
        properties.put("is_read_only", known.has(NbdProtocol.FLAG_READ_ONLY));
        CAN.forEach((name, flag) -> properties.put(name, can(known, flag)));
        OptionReply.InfoBlockSize sizes = known.blockSizes();
        if (sizes != null) {
            properties.put("block_size_minimum", (long) sizes.minimum());
            properties.put("block_size_preferred", (long) sizes.preferred());
            properties.put("block_size_maximum", sizes.maximum());
        }
        return properties;
    }

    /// The names of its metadata contexts.
    List<String> contexts() {
        return export == null
                ? List.of()
                : export.contexts().stream().map(OptionReply.MetaContext::name).toList();
    }
}
