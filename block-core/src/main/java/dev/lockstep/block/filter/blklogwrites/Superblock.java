package dev.lockstep.block.filter.blklogwrites;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// The beginning of a log.
///
/// @param entries how many there are
/// @param sectorBytes what they begin at multiples of
record Superblock(long entries, int sectorBytes) {
    /// What a gate can read, modify and write at once.
    static final int SECTOR_BYTES_MAX = 256 << 10;

    static final int SECTOR_BYTES_MIN = 512;

    private static final long MAGIC = 0x6a736677736872L;
    private static final long VERSION = 1;
    private static final int BYTES = 3 * Long.BYTES + Integer.BYTES;

    static boolean isSectorSize(long bytes) {
        return bytes >= SECTOR_BYTES_MIN && bytes <= SECTOR_BYTES_MAX && Long.bitCount(bytes) == 1;
    }

    /// A whole sector.
    ByteBuffer encode() {
        return ByteBuffer.allocate(sectorBytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(MAGIC)
                .putLong(VERSION)
                .putLong(entries)
                .putInt(sectorBytes)
                .clear();
    }

    /// Reads that of a log.
    ///
    /// @throws BlockException with `INVALID` if there is none
    static Superblock read(Gate log) throws BlockException {
        ByteBuffer bytes = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
        if (log.size() < BYTES) {
            throw none(log, "is empty");
        }
        log.read(0, bytes);
        bytes.flip();
        if (bytes.getLong() != MAGIC || bytes.getLong() != VERSION) {
            throw none(log, "does not begin like one");
        }
        Superblock found = new Superblock(bytes.getLong(), bytes.getInt());
        if (!isSectorSize(found.sectorBytes) || found.entries < 0) {
            throw none(log, "has sectors of %d bytes".formatted(found.sectorBytes));
        }
        return found;
    }

    private static BlockException none(Gate log, String why) {
        return new BlockException(
                Kind.INVALID, "%s is no log of writes: it %s".formatted(log.description(), why));
    }
}
