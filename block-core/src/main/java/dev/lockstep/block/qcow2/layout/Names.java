package dev.lockstep.block.qcow2.layout;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/// Names that an image records, as text. Those that are no UTF-8 keep their bytes too: each that
/// does not belong to a character is half a surrogate pair, U+DC00 and its value, which UTF-8 does
/// not have.
final class Names {
    private static final int ESCAPED_FIRST = 0xdc80;
    private static final int ESCAPED_LAST = 0xdcff;

    private Names() {}

    static String decode(byte[] bytes) {
        CharsetDecoder decoder =
                StandardCharsets.UTF_8
                        .newDecoder()
                        .onMalformedInput(CodingErrorAction.REPORT)
                        .onUnmappableCharacter(CodingErrorAction.REPORT);
        ByteBuffer in = ByteBuffer.wrap(bytes);
        CharBuffer out = CharBuffer.allocate(bytes.length);
        while (decoder.decode(in, out, true).isError()) {
            out.put((char) (0xdc00 | (in.get() & 0xff)));
        }
        return out.flip().toString();
    }

    static byte[] encode(String name) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        name.codePoints()
                .forEach(
                        point -> {
                            if (point >= ESCAPED_FIRST && point <= ESCAPED_LAST) {
                                out.write(point & 0xff);
                            } else {
                                out.writeBytes(
                                        Character.toString(point).getBytes(StandardCharsets.UTF_8));
                            }
                        });
        return out.toByteArray();
    }
}
