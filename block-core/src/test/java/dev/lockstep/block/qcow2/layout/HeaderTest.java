package dev.lockstep.block.qcow2.layout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Seeds;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;

class HeaderTest {
    private static final long FILE_BYTES = 1 << 20;

    /// A header with something in every field.
    private static HeaderBuilder full() {
        return Header.builder()
                .size(5L << 30)
                .l1(0x30000, 16)
                .refcountTable(0x10000, 1)
                .snapshots(0x50000, 2)
                .refcountOrder(3)
                .compression(CompressionType.ZSTD)
                .feature(Feature.LAZY_REFCOUNTS, true)
                .backing("dir/bäse.img", "raw")
                .externalDataFile("data.raw")
                .bitmaps(new BitmapsExtension(1, 32, 0x70000))
                .unknown(
                        List.of(
                                new UnknownExtension(
                                        0x1234, ByteBuffer.wrap(new byte[] {1, 2, 3}))),
                        ByteBuffer.wrap(new byte[] {1, 2, 3, 4, 5, 6, 7, 8}));
    }

    private static Header parse(ByteBuffer bytes) throws BlockException {
        return Header.parse(bytes, FILE_BYTES, "image");
    }

    @Test
    void what_was_written_is_read_again_with_all_that_is_unknown() throws Exception {
        Header header = full().build();
        ByteBuffer bytes = header.encode();
        assertEquals(0, bytes.remaining() % 512);
        assertEquals(header, parse(bytes));
        assertEquals(header.clusterBytes(), Header.clusterBytes(bytes, "image"));
    }

    @Test
    void version_2_has_neither_features_nor_refcounts_of_another_width() throws Exception {
        Header header =
                Header.builder()
                        .version(2)
                        .size(1 << 20)
                        .l1(0x30000, 1)
                        .refcountTable(0x10000, 1)
                        .backing("base", null)
                        .build();
        assertEquals(header, parse(header.encode()));
    }

    @Test
    void what_does_not_fit_into_the_first_cluster_is_refused_and_the_names_of_bits_give_way()
            throws Exception {
        HeaderBuilder small = Header.builder().clusterBits(9).l1(0x600, 0).refcountTable(0x200, 1);
        assertEquals(512, small.backing("b".repeat(300), "raw").build().encode().remaining());
        Header tooLarge = small.backing("b".repeat(400), "raw").build();
        assertKind(Kind.INVALID, "does not fit", tooLarge::encode);
    }

    /// With the fields that are unknown as they were in the beginning.
    private static Header without(Header header) {
        ByteBuffer known = full().build().unknownFields();
        return header.but().unknown(header.unknownExtensions(), known).build();
    }

    /// Another program may have put the name across the first sector's end.
    @Test
    void whatever_a_header_takes_the_place_of_stays_whole_until_the_first_sector_is_written()
            throws Exception {
        Random random = new Random(Seeds.next("headers in turn"));
        ByteBuffer file = ByteBuffer.allocate(1 << 16);
        Header header = full().backing("q".repeat(24 + random.nextInt(1000)), "qcow2").build();
        file.put(0, header.encode(), 0, header.encode().limit());
        for (int round = 0; round < 2000; round++) {
            Header before = header;
            String text = Character.toString('a' + round % 26);
            HeaderBuilder changed = header.but();
            switch (random.nextInt(4)) {
                case 0 -> changed.externalDataFile(text.repeat(1 + random.nextInt(900)));
                case 1 -> changed.backing(null, null);
                default -> changed.backing(text.repeat(1 + random.nextInt(1023)), "raw");
            }
            header = changed.build();
            HeaderRewrite rewrite = header.rewrite(file);
            file.put(rewrite.beyondAt(), rewrite.beyond(), 0, rewrite.beyond().limit());
            assertEquals(before, without(parse(file)), "before the switch");
            file.put(0, rewrite.firstSector(), 0, 512);
            assertEquals(header, without(parse(file)), "after it");
            file.put(rewrite.stale().start(), new byte[rewrite.stale().bytes()]);
            assertEquals(header, parse(file), "when nothing of the old is left");
        }
    }

    @Test
    void bitmaps_without_the_bit_that_vouches_for_them_are_forgotten() throws Exception {
        ByteBuffer bytes = full().build().encode();
        bytes.putLong(88, 0);
        Header header = parse(bytes);
        assertNull(header.bitmaps());
        assertFalse(header.has(Feature.BITMAPS));
    }

    @Test
    void an_unknown_feature_is_named_as_the_image_names_it() throws Exception {
        ByteBuffer bytes = Header.builder().refcountTable(0x10000, 1).build().encode();
        bytes.putLong(72, 1L << 42 | 1L << 63);
        int entry = 112 + 8;
        bytes.put(entry + 1, (byte) 42)
                .put(entry + 2, "time travel\n\0".getBytes(StandardCharsets.US_ASCII));
        assertKind(
                Kind.UNSUPPORTED,
                "not known here: time travel?, incompatible bit 63",
                () -> parse(bytes));
    }

    @ParameterizedTest
    @CsvSource({
        "1, AES",
        "2, LUKS",
        "3, crypt_method is 3",
    })
    void encryption_is_refused(int method, String words) throws Exception {
        ByteBuffer bytes = full().build().encode();
        bytes.putInt(32, method);
        assertKind(Kind.UNSUPPORTED, words, () -> parse(bytes));
    }

    @ParameterizedTest
    @CsvSource({
        "4, 4, 4, version is 4",
        "4, 20, 8, cluster_bits is 8",
        "4, 20, 22, cluster_bits is 22",
        "8, 24, -1, size is 18446744073709551615",
        "8, 24, 0x1000000000, l1_size",
        "4, 36, -1, l1_size is 4294967295",
        "4, 36, 0x20000, 'l1_table_offset is 0x30000; a table of 1048576'",
        "8, 40, 0x30200, l1_table_offset is 0x30200",
        "8, 40, 0, l1_table_offset is 0x0",
        "8, 40, 0x7fffffffffff0000, l1_table_offset",
        "8, 40, 0x8000000000000000, l1_table_offset",
        "8, 48, 0x10001, refcount_table_offset",
        "8, 48, 0x100000, refcount_table_offset",
        "4, 56, 0, refcount_table_clusters is 0",
        "4, 56, 129, refcount_table_clusters is 129",
        "4, 60, 65537, nb_snapshots is 65537",
        "8, 64, 0xfffffffffff0000, snapshots_offset",
        "4, 96, 7, refcount_order is 7",
        "4, 100, 100, header_length is 100",
        "4, 100, 108, header_length is 108",
        "4, 100, 0x80000, it is 524288 bytes long",
        "4, 16, 1024, backing_file_size is 1024",
        "8, 8, 8, backing_file_offset is 0x8",
        "8, 8, 0xffffffffffffffff, backing_file_offset",
        "1, 104, 2, compression_type is 2",
        "1, 104, 0, compression_type is 0",
        "8, 72, 0, compression_type is 1",
        "4, 124, 0x7fffffff, has a length of 2147483647",
    })
    void every_field_is_checked(int width, int at, String value, String words) throws Exception {
        ByteBuffer bytes = full().build().encode();
        long number =
                value.startsWith("0x")
                        ? Long.parseUnsignedLong(value.substring(2), 16)
                        : Long.parseLong(value);
        switch (width) {
            case 1 -> bytes.put(at, (byte) number);
            case 4 -> bytes.putInt(at, (int) number);
            default -> bytes.putLong(at, number);
        }
        String message = assertThrows(BlockException.class, () -> parse(bytes)).getMessage();
        assertTrue(message.startsWith("image: qcow2 header: "), message);
        assertTrue(message.contains(words), message);
    }

    @Test
    void a_damaged_header_is_refused_or_keeps_its_promises() throws Exception {
        Random random = new Random(Seeds.next("damaged headers"));
        byte[] sound = full().build().encode().array();
        for (int round = 0; round < 20_000; round++) {
            ByteBuffer bytes = ByteBuffer.wrap(sound.clone());
            bytes.limit(random.nextInt(8) == 0 ? random.nextInt(1024) : 1024);
            for (int damage = random.nextInt(6); damage >= 0 && bytes.limit() > 0; damage--) {
                bytes.put(random.nextInt(Math.min(260, bytes.limit())), (byte) random.nextInt());
            }
            try {
                checkPromises(parse(bytes));
            } catch (BlockException e) {
                assertTrue(e.getMessage().startsWith("image: "), e.getMessage());
            }
        }
    }

    private static void checkPromises(Header header) throws BlockException {
        assertTrue(header.size() >= 0);
        assertTrue(header.geometry().l1Entries(header.size()) <= header.l1Entries());
        long end = FILE_BYTES + header.clusterBytes();
        assertTrue(header.l1Entries() == 0 || header.l1Offset() + header.l1Entries() * 8L <= end);
        assertTrue(header.refcountTableOffset() > 0 && header.refcountTableOffset() < end);
        assertTrue(header.snapshotCount() <= Header.SNAPSHOTS_MAX);
        if (header.bitmaps() != null) {
            assertTrue(header.bitmaps().directoryOffset() < end);
        }
    }

    private static void assertKind(
            Kind kind, String words, org.junit.jupiter.api.function.Executable call) {
        BlockException e = assertThrows(BlockException.class, call);
        assertEquals(kind, e.kind(), e.getMessage());
        assertTrue(e.getMessage().contains(words), e.getMessage());
    }
}
