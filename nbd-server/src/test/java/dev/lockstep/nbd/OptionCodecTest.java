package dev.lockstep.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;

class OptionCodecTest {
    private static final List<Option> OPTIONS =
            List.of(
                    new Option.ExportName(""),
                    new Option.ExportName("disk"),
                    new Option.Abort(),
                    new Option.ListExports(),
                    new Option.StartTls(),
                    new Option.StructuredReply(),
                    new Option.ExportInfo("größe", List.of(1, 3)),
                    new Option.Go("disk", List.of()),
                    new Option.ListMetaContext("disk", List.of()),
                    new Option.SetMetaContext("disk", List.of("base:allocation", "x-y:")));

    private static final List<OptionReply> REPLIES =
            List.of(
                    new OptionReply.Ack(),
                    new OptionReply.Server("disk", "words"),
                    new OptionReply.InfoExport(1L << 40, 0x8001),
                    new OptionReply.InfoName("disk"),
                    new OptionReply.InfoDescription("words"),
                    new OptionReply.InfoBlockSize(1, 4096, 0xffffffffL),
                    new OptionReply.MetaContext(7, "base:allocation"),
                    new OptionReply.Refusal(NbdProtocol.REP_ERR_UNKNOWN, "no such export"));

    @Test
    void every_option_reads_back_as_it_was_written() {
        for (Option option : OPTIONS) {
            ByteBuffer bytes = OptionCodec.encode(option);
            assertEquals(NbdProtocol.OPTION_MAGIC, bytes.getLong());
            int code = bytes.getInt();
            assertEquals(bytes.getInt(), bytes.remaining());
            assertEquals(option, OptionCodec.decode(code, bytes));
        }
    }

    @Test
    void every_reply_reads_back_as_it_was_written() throws IOException {
        for (OptionReply reply : REPLIES) {
            ByteBuffer bytes = OptionReplyCodec.encode(NbdProtocol.OPT_GO, reply);
            assertEquals(NbdProtocol.OPTION_REPLY_MAGIC, bytes.getLong());
            assertEquals(NbdProtocol.OPT_GO, bytes.getInt());
            int type = bytes.getInt();
            assertEquals(bytes.getInt(), bytes.remaining());
            assertEquals(reply, OptionReplyCodec.decode(type, bytes));
        }
    }

    @Test
    @Shows({
        "list.data",
        "starttls.data",
        "structured.data",
        "list-context.malformed",
        "option.name-length"
    })
    void an_option_with_bytes_too_few_or_too_many_is_malformed() {
        for (Option option : OPTIONS) {
            if (option instanceof Option.ExportName || option instanceof Option.Abort) {
                continue; // any data will do for these
            }
            ByteBuffer bytes =
                    OptionCodec.encode(option).position(NbdProtocol.OPTION_HEADER_BYTES).slice();
            ByteBuffer longer = ByteBuffer.allocate(bytes.limit() + 1).put(bytes.duplicate());
            assertMalformed(option.code(), longer.rewind());
            if (bytes.hasRemaining()) {
                assertMalformed(option.code(), bytes.duplicate().limit(bytes.limit() - 1));
            }
        }
    }

    @Test
    @Shows({"strings.limit", "strings.nul", "strings.utf8"})
    void strings_that_the_protocol_forbids_are_malformed() {
        assertMalformed(NbdProtocol.OPT_EXPORT_NAME, utf8("a\0b"));
        assertMalformed(NbdProtocol.OPT_EXPORT_NAME, ByteBuffer.wrap(new byte[] {(byte) 0xff}));
        assertMalformed(
                NbdProtocol.OPT_EXPORT_NAME, utf8("x".repeat(NbdProtocol.STRING_BYTES_MAX + 1)));
    }

    @Test
    void no_bytes_whatever_make_the_decoder_throw() {
        long seed = Long.getLong("LOCKSTEP_SEED", System.nanoTime());
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        for (int round = 0; round < 50_000; round++) {
            byte[] data = new byte[random.nextInt(64)];
            random.nextBytes(data);
            if (data.length > 4 && random.nextBoolean()) {
                data[0] = data[1] = data[2] = 0; // a length that may fit
            }
            OptionCodec.decode(random.nextInt(13), ByteBuffer.wrap(data));
        }
    }

    private static void assertMalformed(int code, ByteBuffer data) {
        assertInstanceOf(Option.Malformed.class, OptionCodec.decode(code, data));
    }

    private static ByteBuffer utf8(String text) {
        return ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
    }
}
