package dev.lockstep.block.filter.blklogwrites;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// The head of an entry of a log.
///
/// @param sector where it happened
/// @param sectors how much
/// @param flags any of the constants
/// @param markBytes how long the text of a mark is
record Entry(long sector, long sectors, long flags, long markBytes) {
    static final long FLUSH = 1;
    static final long FUA = 2;
    static final long DISCARD = 4;
    static final long MARK = 8;

    private static final int BYTES = 4 * Long.BYTES;

    static Entry of(long sector, long sectors, long flags) {
        return new Entry(sector, sectors, flags, 0);
    }

    boolean has(long flag) {
        return (flags & flag) != 0;
    }

    /// How many sectors of data follow it.
    long dataSectors() {
        return has(DISCARD) ? 0 : sectors;
    }

    /// A whole sector.
    ByteBuffer encode(int sectorBytes) {
        return ByteBuffer.allocate(sectorBytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(sector)
                .putLong(sectors)
                .putLong(flags)
                .putLong(markBytes)
                .clear();
    }

    /// Reads the one at a sector of the log.
    ///
    /// @throws BlockException with `INVALID` if the log ends before it does
    static Entry read(Gate log, long at, int sectorBytes) throws BlockException {
        ByteBuffer bytes = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
        long sectors = log.size() / sectorBytes;
        if (at < sectors) {
            log.read(at * sectorBytes, bytes);
            bytes.flip();
            Entry found =
                    new Entry(bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong());
            if (found.sectors >= 0 && found.dataSectors() < sectors - at) {
                return found;
            }
        }
        throw new BlockException(
                Kind.INVALID,
                "%s ends before the entry at 0x%x does"
                        .formatted(log.description(), at * sectorBytes));
    }
}
