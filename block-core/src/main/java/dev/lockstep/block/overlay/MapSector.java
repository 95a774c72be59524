package dev.lockstep.block.overlay;

import dev.lockstep.block.bitmap.ClusterBitmap;

import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/// One sector of a map: what a disk writes at once or not at all, so it is of one moment. Its
/// layout is in `docs/overlay-format.md`.
final class MapSector {
    static final int BYTES = 512;

    /// The bits that a sector has room for: 3968, so that one stands for 248 MiB in clusters of 64
    /// KiB. It is a multiple of 64.
    static final int CLUSTERS = (BYTES - MapSector.BITS_AT) * Byte.SIZE;

    private static final int NUMBER_AT = 8;
    private static final int CHECKSUM_AT = 12;
    private static final int BITS_AT = 16;

    /// What a sector says.
    enum Meaning {
        /// Which clusters are held.
        MAP,
        /// Nothing: it is of an earlier generation, or was never written.
        NOTHING,
        /// It was not written by this program, or changed since.
        DAMAGE
    }

    private MapSector() {}

    /// Writes sector `number` into the next bytes of a buffer in little-endian order.
    static void encode(ByteBuffer out, long generation, long number, ClusterBitmap held) {
        int start = out.position();
        out.putLong(generation).putInt((int) number).putInt(0);
        for (int bit = 0; bit < CLUSTERS; bit += Long.SIZE) {
            out.putLong(held.word64(number * CLUSTERS + bit));
        }
        out.putInt(start + CHECKSUM_AT, checksum(out, start));
    }

    /// Reads sector `number` from the next bytes of a buffer, and sets what it says in `held`.
    static Meaning decode(ByteBuffer in, long generation, long number, ClusterBitmap held) {
        int start = in.position();
        in.position(start + BYTES);
        if (isZero(in, start)) {
            return Meaning.NOTHING;
        }
        if (in.getInt(start + CHECKSUM_AT) != checksum(in, start)
                || in.getInt(start + NUMBER_AT) != (int) number
                || in.getLong(start) > generation) {
            return Meaning.DAMAGE;
        }
        return in.getLong(start) < generation
                ? Meaning.NOTHING
                : decodeBits(in, start, number * CLUSTERS, held);
    }

    private static Meaning decodeBits(ByteBuffer in, int start, long first, ClusterBitmap held) {
        for (int bit = 0; bit < CLUSTERS; bit += Long.SIZE) {
            long word = in.getLong(start + BITS_AT + bit / Byte.SIZE);
            for (long at = first + bit; word != 0; ) {
                int skip = Long.numberOfTrailingZeros(word);
                int run = Long.numberOfTrailingZeros(~(word >>> skip));
                if (at + skip + run > held.size()) {
                    return Meaning.DAMAGE;
                }
                held.set(at + skip, at + skip + run);
                at += skip + run;
                word = skip + run == Long.SIZE ? 0 : word >>> (skip + run);
            }
        }
        return Meaning.MAP;
    }

    private static boolean isZero(ByteBuffer in, int start) {
        for (int at = 0; at < BYTES; at += Long.BYTES) {
            if (in.getLong(start + at) != 0) {
                return false;
            }
        }
        return true;
    }

    private static int checksum(ByteBuffer bytes, int start) {
        CRC32C crc = new CRC32C();
        crc.update(bytes.slice(start, CHECKSUM_AT));
        crc.update(bytes.slice(start + BITS_AT, BYTES - BITS_AT));
        return (int) crc.getValue();
    }
}
