package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.JsonNode;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;

/// Finds JSON documents in a stream of bytes that has no other framing.
///
/// A document ends where its outermost bracket closes, or, for a bare value, where the next byte
/// cannot belong to it. A byte that no JSON text may contain at its place (a control character most
/// of all) makes the document malformed; what follows is skipped up to the next line, control
/// character, byte 0xFE or 0xFF, or opening brace. So a client that lost its place can send one
/// control character and start anew.
final class JsonStream {
    /// What came next in the stream.
    sealed interface Item {
        /// A well-formed document.
        record Document(JsonNode json) implements Item {}

        /// Bytes that are none, and why. The stream goes on behind them.
        record Malformed(String reason) implements Item {}

        /// The document is longer than the limit. The stream is of no use any more.
        record TooLong(int limitBytes) implements Item {}
    }

    private enum State {
        BETWEEN,
        BARE,
        STRUCTURE,
        STRING,
        ESCAPE,
        RECOVERY
    }

    /// What one read asks for: many commands fit, and one page is little to hold for each client.
    private static final int READ_BYTES = 4096;

    private final ReadableByteChannel channel;
    private final int documentBytesMax;
    private final ByteBuffer input = ByteBuffer.allocate(READ_BYTES).flip();
    private ByteArrayOutputStream document = new ByteArrayOutputStream();
    private State state = State.BETWEEN;
    private int depth;
    private int quote;

    JsonStream(ReadableByteChannel channel, int documentBytesMax) {
        this.channel = channel;
        this.documentBytesMax = documentBytesMax;
    }

    /// Waits for the next item.
    ///
    /// @return null at the end of the stream, where an unfinished document is dropped
    @Nullable Item next() throws IOException {
        while (true) {
            if (!input.hasRemaining() && !fill()) {
                return null;
            }
            int symbol = input.get() & 0xff;
            Item item = accept(symbol);
            if (item != null) {
                return item;
            }
            if (document.size() > documentBytesMax) {
                return new Item.TooLong(documentBytesMax);
            }
        }
    }

    private boolean fill() throws IOException {
        input.clear();
        int count = channel.read(input);
        input.flip();
        return count > 0;
    }

    private @Nullable Item accept(int symbol) {
        return switch (state) {
            case BETWEEN -> begin(symbol);
            case BARE -> bare(symbol);
            case STRUCTURE -> structure(symbol);
            case STRING -> string(symbol);
            case ESCAPE -> {
                state = State.STRING;
                yield string(symbol, true);
            }
            case RECOVERY -> {
                recover(symbol);
                yield null;
            }
        };
    }

    private @Nullable Item begin(int symbol) {
        if (isSpace(symbol)) {
            return null;
        }
        if (isBare(symbol)) {
            document.write(symbol);
            state = State.BARE;
            return null;
        }
        return structure(symbol);
    }

    private @Nullable Item bare(int symbol) {
        if (isBare(symbol)) {
            document.write(symbol);
            return null;
        }
        input.position(input.position() - 1);
        return finish();
    }

    private @Nullable Item structure(int symbol) {
        switch (symbol) {
            case '{', '[' -> depth++;
            case '}', ']' -> depth--;
            case '"', '\'' -> quote = symbol;
            default -> {
                boolean plain = isSpace(symbol) || isBare(symbol) || symbol == ':' || symbol == ',';
                if (!plain || depth == 0) {
                    return stray(symbol);
                }
            }
        }
        if (depth < 0) {
            return stray(symbol);
        }
        if (depth > Json.NESTING_MAX) {
            return malformed("the document is nested deeper than " + Json.NESTING_MAX, symbol);
        }
        document.write(symbol);
        state = symbol == '"' || symbol == '\'' ? State.STRING : State.STRUCTURE;
        return depth == 0 && state == State.STRUCTURE ? finish() : null;
    }

    private @Nullable Item string(int symbol) {
        return string(symbol, false);
    }

    private @Nullable Item string(int symbol, boolean escaped) {
        if (symbol < ' ' || isNeverUtf8(symbol)) {
            return stray(symbol);
        }
        document.write(symbol);
        if (escaped) {
            return null;
        }
        if (symbol == '\\') {
            state = State.ESCAPE;
        } else if (symbol == quote) {
            state = State.STRUCTURE;
            return depth == 0 ? finish() : null;
        }
        return null;
    }

    private void recover(int symbol) {
        if (symbol == '{') {
            input.position(input.position() - 1);
            state = State.BETWEEN;
        } else if (isSynchronising(symbol)) {
            state = State.BETWEEN;
        }
    }

    private Item finish() {
        byte[] bytes = document.toByteArray();
        reset(State.BETWEEN);
        try {
            return new Item.Document(Json.parse(bytes, bytes.length));
        } catch (IOException e) {
            return new Item.Malformed(String.valueOf(e.getMessage()));
        }
    }

    private Item stray(int symbol) {
        boolean visible = symbol > ' ' && symbol < 0x7f;
        return malformed(
                visible ? "stray '%c'".formatted(symbol) : "stray byte 0x%02x".formatted(symbol),
                symbol);
    }

    private Item malformed(String reason, int symbol) {
        reset(isSynchronising(symbol) ? State.BETWEEN : State.RECOVERY);
        return new Item.Malformed(reason);
    }

    private void reset(State next) {
        // A buffer that one long document grew is not kept.
        if (document.size() > READ_BYTES) {
            document = new ByteArrayOutputStream();
        } else {
            document.reset();
        }
        depth = 0;
        state = next;
    }

    private static boolean isSpace(int symbol) {
        return symbol == ' ' || symbol == '\t' || symbol == '\r' || symbol == '\n';
    }

    private static boolean isBare(int symbol) {
        return (symbol >= 'a' && symbol <= 'z')
                || (symbol >= 'A' && symbol <= 'Z')
                || (symbol >= '0' && symbol <= '9')
                || symbol == '-'
                || symbol == '+'
                || symbol == '.'
                || symbol == '_';
    }

    private static boolean isNeverUtf8(int symbol) {
        return symbol >= 0xfe;
    }

    private static boolean isSynchronising(int symbol) {
        return (symbol < ' ' && symbol != '\t') || isNeverUtf8(symbol);
    }
}
