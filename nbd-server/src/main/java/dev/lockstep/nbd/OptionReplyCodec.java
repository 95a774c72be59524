package dev.lockstep.nbd;

import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/// The bytes of an [OptionReply], both ways.
public final class OptionReplyCodec {
    private OptionReplyCodec() {}

    /// Returns the whole reply to option `code`, header included, ready to be sent.
    public static ByteBuffer encode(int code, OptionReply reply) {
        return switch (reply) {
            case OptionReply.Ack _ -> message(code, NbdProtocol.REP_ACK, 0).flip();
            case OptionReply.Server(String name, String description) -> {
                byte[] first = OptionCodec.utf8(name);
                byte[] second = OptionCodec.utf8(description);
                yield message(code, NbdProtocol.REP_SERVER, 4 + first.length + second.length)
                        .putInt(first.length)
                        .put(first)
                        .put(second)
                        .flip();
            }
            case OptionReply.InfoExport(long size, int flags) ->
                    info(code, NbdProtocol.INFO_EXPORT, 8 + 2)
                            .putLong(size)
                            .putShort((short) flags)
                            .flip();
            case OptionReply.InfoName(String name) -> info(code, NbdProtocol.INFO_NAME, name);
            case OptionReply.InfoDescription(String description) ->
                    info(code, NbdProtocol.INFO_DESCRIPTION, description);
            case OptionReply.InfoBlockSize(int minimum, int preferred, long maximum) ->
                    info(code, NbdProtocol.INFO_BLOCK_SIZE, 4 + 4 + 4)
                            .putInt(minimum)
                            .putInt(preferred)
                            .putInt((int) maximum)
                            .flip();
            case OptionReply.MetaContext(int id, String name) -> {
                byte[] text = OptionCodec.utf8(name);
                yield message(code, NbdProtocol.REP_META_CONTEXT, 4 + text.length)
                        .putInt(id)
                        .put(text)
                        .flip();
            }
            case OptionReply.Refusal(int type, String reason) -> {
                byte[] text = OptionCodec.utf8(reason);
                int bytes = Math.min(text.length, NbdProtocol.STRING_BYTES_MAX);
                yield message(code, type, bytes).put(text, 0, bytes).flip();
            }
            case OptionReply.Unknown(int type) -> message(code, type, 0).flip();
        };
    }

    /// Understands the data of a reply, which are all of the buffer's remaining bytes.
    ///
    /// @throws IOException if they are too short for what they are
    public static OptionReply decode(int type, ByteBuffer data) throws IOException {
        try {
            return switch (type) {
                case NbdProtocol.REP_ACK -> new OptionReply.Ack();
                case NbdProtocol.REP_SERVER -> {
                    String name = text(data, data.getInt());
                    yield new OptionReply.Server(name, text(data, data.remaining()));
                }
                case NbdProtocol.REP_INFO -> decodeInfo(data);
                case NbdProtocol.REP_META_CONTEXT ->
                        new OptionReply.MetaContext(data.getInt(), text(data, data.remaining()));
                default ->
                        (type & NbdProtocol.REP_FLAG_ERROR) != 0
                                ? new OptionReply.Refusal(type, text(data, data.remaining()))
                                : new OptionReply.Unknown(type);
            };
        } catch (BufferUnderflowException e) {
            throw new IOException(
                    "the NBD server's reply of type 0x%x is too short".formatted(type), e);
        }
    }

    private static OptionReply decodeInfo(ByteBuffer data) {
        int item = Short.toUnsignedInt(data.getShort());
        return switch (item) {
            case NbdProtocol.INFO_EXPORT ->
                    new OptionReply.InfoExport(
                            data.getLong(), Short.toUnsignedInt(data.getShort()));
            case NbdProtocol.INFO_NAME -> new OptionReply.InfoName(text(data, data.remaining()));
            case NbdProtocol.INFO_DESCRIPTION ->
                    new OptionReply.InfoDescription(text(data, data.remaining()));
            case NbdProtocol.INFO_BLOCK_SIZE ->
                    new OptionReply.InfoBlockSize(
                            data.getInt(), data.getInt(), Integer.toUnsignedLong(data.getInt()));
            default -> new OptionReply.Unknown(NbdProtocol.REP_INFO);
        };
    }

    /// Reads a string for people or for comparison; bytes that are not UTF-8 become replacement
    /// characters.
    private static String text(ByteBuffer data, int bytes) {
        if (bytes < 0 || bytes > data.remaining()) {
            throw new BufferUnderflowException();
        }
        byte[] text = new byte[bytes];
        data.get(text);
        return new String(text, StandardCharsets.UTF_8);
    }

    private static ByteBuffer info(int code, int item, String string) {
        byte[] text = OptionCodec.utf8(string);
        return info(code, item, text.length).put(text).flip();
    }

    private static ByteBuffer info(int code, int item, int bytes) {
        return message(code, NbdProtocol.REP_INFO, 2 + bytes).putShort((short) item);
    }

    private static ByteBuffer message(int code, int type, int bytes) {
        return ByteBuffer.allocate(NbdProtocol.OPTION_REPLY_HEADER_BYTES + bytes)
                .putLong(NbdProtocol.OPTION_REPLY_MAGIC)
                .putInt(code)
                .putInt(type)
                .putInt(bytes);
    }
}
