package dev.lockstep.nbd;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// The bytes of an [Option], both ways. Decoding accepts any bytes: what cannot be understood is an
/// option too, [Option.Malformed] or [Option.Unknown].
public final class OptionCodec {
    /// The most data that an option may carry and be understood: a name and all the queries of a
    /// sensible client fit (see [#META_QUERIES_MAX]); a longer option is skipped and refused.
    public static final int OPTION_BYTES_MAX = 64 << 10;

    /// The most metadata queries in one option. An export offers a handful of contexts, and no
    /// client is known to ask for more than five.
    public static final int META_QUERIES_MAX = 64;

    /// The most items that GO and INFO may ask for; the protocol knows four.
    public static final int INFO_ITEMS_MAX = 64;

    private OptionCodec() {}

    /// Understands the data of an option, which are all of the buffer's remaining bytes.
    public static Option decode(int code, ByteBuffer data) {
        try {
            return switch (code) {
                case NbdProtocol.OPT_EXPORT_NAME ->
                        new Option.ExportName(string(data, data.remaining()));
                case NbdProtocol.OPT_ABORT -> new Option.Abort();
                case NbdProtocol.OPT_LIST -> empty(data, new Option.ListExports());
                case NbdProtocol.OPT_STARTTLS -> empty(data, new Option.StartTls());
                case NbdProtocol.OPT_STRUCTURED_REPLY -> empty(data, new Option.StructuredReply());
                case NbdProtocol.OPT_EXTENDED_HEADERS -> empty(data, new Option.ExtendedHeaders());
                case NbdProtocol.OPT_INFO -> new Option.ExportInfo(longString(data), items(data));
                case NbdProtocol.OPT_GO -> new Option.Go(longString(data), items(data));
                case NbdProtocol.OPT_LIST_META_CONTEXT ->
                        new Option.ListMetaContext(longString(data), queries(data));
                case NbdProtocol.OPT_SET_META_CONTEXT ->
                        new Option.SetMetaContext(longString(data), queries(data));
                default -> new Option.Unknown(code);
            };
        } catch (MalformedException e) {
            return new Option.Malformed(code, e.errorReply, String.valueOf(e.getMessage()));
        }
    }

    /// The answer to an option that is too long to be understood at all.
    public static Option tooLong(int code, long length) {
        return new Option.Malformed(
                code,
                NbdProtocol.REP_ERR_TOO_BIG,
                "option %d has %d bytes of data, the limit is %d"
                        .formatted(code, length, OPTION_BYTES_MAX));
    }

    /// Returns the whole option, header included, ready to be sent.
    public static ByteBuffer encode(Option option) {
        byte[] data =
                switch (option) {
                    case Option.ExportName(String name) -> utf8(name);
                    case Option.ExportInfo(String name, List<Integer> items) -> info(name, items);
                    case Option.Go(String name, List<Integer> items) -> info(name, items);
                    case Option.ListMetaContext(String export, List<String> queries) ->
                            meta(export, queries);
                    case Option.SetMetaContext(String export, List<String> queries) ->
                            meta(export, queries);
                    case Option.Abort _,
                            Option.ListExports _,
                            Option.StartTls _,
                            Option.StructuredReply _,
                            Option.ExtendedHeaders _,
                            Option.Unknown _,
                            Option.Malformed _ ->
                            new byte[0];
                };
        return ByteBuffer.allocate(NbdProtocol.OPTION_HEADER_BYTES + data.length)
                .putLong(NbdProtocol.OPTION_MAGIC)
                .putInt(option.code())
                .putInt(data.length)
                .put(data)
                .flip();
    }

    private static byte[] info(String name, List<Integer> items) {
        byte[] text = utf8(name);
        ByteBuffer data =
                ByteBuffer.allocate(4 + text.length + 2 + 2 * items.size())
                        .putInt(text.length)
                        .put(text)
                        .putShort((short) items.size());
        items.forEach(item -> data.putShort(item.shortValue()));
        return data.array();
    }

    private static byte[] meta(String export, List<String> queries) {
        List<byte[]> texts = new ArrayList<>();
        texts.add(utf8(export));
        queries.forEach(query -> texts.add(utf8(query)));
        int bytes = 4 + texts.stream().mapToInt(text -> 4 + text.length).sum();
        ByteBuffer data = ByteBuffer.allocate(bytes);
        for (int i = 0; i < texts.size(); i++) {
            data.putInt(texts.get(i).length).put(texts.get(i));
            if (i == 0) {
                data.putInt(queries.size());
            }
        }
        return data.array();
    }

    private static List<Integer> items(ByteBuffer data) throws MalformedException {
        int count = Short.toUnsignedInt(need(data, 2).getShort());
        if (count > INFO_ITEMS_MAX) {
            throw new MalformedException(
                    NbdProtocol.REP_ERR_TOO_BIG, "more than " + INFO_ITEMS_MAX + " items");
        }
        List<Integer> items = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            items.add(Short.toUnsignedInt(need(data, 2).getShort()));
        }
        return empty(data, List.copyOf(items));
    }

    private static List<String> queries(ByteBuffer data) throws MalformedException {
        long count = Integer.toUnsignedLong(need(data, 4).getInt());
        if (count > META_QUERIES_MAX) {
            throw new MalformedException(
                    NbdProtocol.REP_ERR_TOO_BIG, "more than " + META_QUERIES_MAX + " queries");
        }
        List<String> queries = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            queries.add(longString(data));
        }
        return empty(data, List.copyOf(queries));
    }

    /// Reads a string with a length of 32 bits before it.
    private static String longString(ByteBuffer data) throws MalformedException {
        return string(data, Integer.toUnsignedLong(need(data, 4).getInt()));
    }

    private static String string(ByteBuffer data, long bytes) throws MalformedException {
        if (bytes > NbdProtocol.STRING_BYTES_MAX) {
            throw new MalformedException(
                    NbdProtocol.REP_ERR_TOO_BIG,
                    "a string of %d bytes, the limit is %d"
                            .formatted(bytes, NbdProtocol.STRING_BYTES_MAX));
        }
        ByteBuffer text = need(data, (int) bytes).slice().limit((int) bytes);
        data.position(data.position() + (int) bytes);
        try {
            String string = StandardCharsets.UTF_8.newDecoder().decode(text).toString();
            if (string.indexOf('\0') >= 0) {
                throw new MalformedException(NbdProtocol.REP_ERR_INVALID, "a string holds a NUL");
            }
            return string;
        } catch (CharacterCodingException e) {
            throw new MalformedException(NbdProtocol.REP_ERR_INVALID, "a string is not UTF-8");
        }
    }

    private static ByteBuffer need(ByteBuffer data, int bytes) throws MalformedException {
        if (data.remaining() < bytes) {
            throw new MalformedException(
                    NbdProtocol.REP_ERR_INVALID, "the data end before what they announce");
        }
        return data;
    }

    private static <T> T empty(ByteBuffer data, T decoded) throws MalformedException {
        if (data.hasRemaining()) {
            throw new MalformedException(
                    NbdProtocol.REP_ERR_INVALID, "%d bytes too many".formatted(data.remaining()));
        }
        return decoded;
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /// Ends the decoding of one option. It never leaves this class.
    private static final class MalformedException extends Exception {
        private static final long serialVersionUID = 1L;
        private final int errorReply;

        MalformedException(int errorReply, String reason) {
            super(reason, null, false, false);
            this.errorReply = errorReply;
        }
    }
}
