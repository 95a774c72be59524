package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.L2Entry;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Damages an image where it hurts: in its tables.
final class Damage {
    private Damage() {}

    static byte[] of(byte[] sound, Random random) throws BlockException {
        byte[] image = sound.clone();
        List<Long> tables = tables(image);
        for (int count = random.nextInt(3); count >= 0; count--) {
            ByteBuffer bytes = ByteBuffer.wrap(image);
            int clusterBytes = Header.clusterBytes(bytes, "image");
            long table = tables.get(random.nextInt(tables.size()));
            int word = random.nextInt(random.nextBoolean() ? 8 : clusterBytes / 8);
            int at = (int) table + word * 8;
            if (at + 8 > image.length) {
                continue;
            }
            switch (random.nextInt(8)) {
                case 0 -> image[at + random.nextInt(8)] ^= (byte) (1 << random.nextInt(8));
                case 1 -> bytes.putLong(at, 0);
                case 2 -> bytes.putLong(at, bytes.getLong(at) ^ L2Entry.COPIED);
                case 3 -> bytes.putLong(at, random.nextLong());
                case 4 -> bytes.putLong(at, bytes.getLong((int) table));
                case 5 -> {
                    long cluster = random.nextInt(image.length / clusterBytes);
                    bytes.putLong(at, cluster * clusterBytes | L2Entry.COPIED);
                }
                case 6 -> bytes.putLong(at, bytes.getLong(at) + clusterBytes);
                default -> {
                    if (random.nextInt(4) == 0) {
                        int length = image.length - random.nextInt(image.length / 2);
                        image = Arrays.copyOf(image, Math.max(length & -512, 8 * clusterBytes));
                    }
                }
            }
        }
        return image;
    }

    /// Where refcount table, refcount blocks, L1 table and L2 tables begin.
    static List<Long> tables(byte[] image) throws BlockException {
        ByteBuffer bytes = ByteBuffer.wrap(image);
        Header header = Header.parse(bytes, Long.MAX_VALUE, "image");
        List<Long> tables = new ArrayList<>();
        tables.add(header.refcountTableOffset());
        tables.add(header.l1Offset());
        int entries = header.clusterBytes() / Long.BYTES;
        for (int index = 0; index < entries; index++) {
            add(tables, bytes, header.refcountTableOffset() + index * 8L);
        }
        for (int index = 0; index < header.l1Entries(); index++) {
            add(tables, bytes, header.l1Offset() + index * 8L);
        }
        return tables;
    }

    private static void add(List<Long> tables, ByteBuffer bytes, long at) {
        long offset = at + 8 > bytes.limit() ? 0 : L2Entry.offset(bytes.getLong((int) at));
        if (offset != 0) {
            tables.add(offset);
        }
    }
}
