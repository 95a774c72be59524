package dev.lockstep.block.qcow2.bitmaps;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.qcow2.layout.BitmapEntry;
import dev.lockstep.block.qcow2.table.Tables;

import java.nio.ByteBuffer;
import java.util.BitSet;

/// The bits of a bitmap as they lie in the image: a table of clusters, each of which is stored, all
/// zeroes or all ones. Bit `n` is bit `n % 8` of byte `n / 8`, the least significant first.
final class StoredBits {
    private static final long OFFSET_MASK = 0x00fffffffffffe00L;
    private static final long ALL_ONES = 1;
    private static final long RESERVED_MASK = ~(OFFSET_MASK | ALL_ONES);

    private final HostFile file;
    private final BitmapEntry entry;
    private final int clusterBytes;
    private final long count;

    /// The bits of a bitmap.
    ///
    /// @param size of the disk in bytes
    /// @throws BlockException if the table is not as long as the disk demands
    StoredBits(HostFile file, BitmapEntry entry, int clusterBytes, long size)
            throws BlockException {
        this.file = file;
        this.entry = entry;
        this.clusterBytes = clusterBytes;
        long granularity = 1L << entry.granularityBits();
        this.count = size / granularity + (size % granularity == 0 ? 0 : 1);
        long entries = (count + bitsInCluster() - 1) / bitsInCluster();
        if (entries != entry.tableEntries()) {
            throw corrupt(
                    "bitmap_table_size is %d, and the disk's length demands %d"
                            .formatted(entry.tableEntries(), entries));
        }
    }

    /// How many bits there are.
    long count() {
        return count;
    }

    /// Sets every bit that is set in the image.
    void addTo(ClusterBitmap bits) throws BlockException {
        ByteBuffer table = table();
        for (int index = 0; table.hasRemaining(); index++) {
            long value = checked(table.getLong(), index);
            long first = index * bitsInCluster();
            long end = Math.min(count, first + bitsInCluster());
            if (value == ALL_ONES) {
                bits.set(first, end);
            } else if (value != 0) {
                BitSet stored = cluster(value);
                for (int at = stored.nextSetBit(0); at >= 0 && first + at < end; ) {
                    int clear = stored.nextClearBit(at);
                    bits.set(first + at, Math.min(end, first + clear));
                    at = stored.nextSetBit(clear);
                }
            }
        }
    }

    /// Stores bits in addition to those that are stored, all but the table.
    ///
    /// @return the table that has to be written once the clusters that it refers to are durable
    ByteBuffer merge(ClusterBitmap bits, Tables tables) throws BlockException {
        ByteBuffer table = table();
        for (long at = bits.nextSet(0); at < count; ) {
            int index = (int) (at / bitsInCluster());
            long first = index * bitsInCluster();
            long end = Math.min(count, first + bitsInCluster());
            long value = checked(table.getLong(index * Long.BYTES), index);
            if (value != ALL_ONES) {
                BitSet merged = value == 0 ? new BitSet() : cluster(value);
                while (at < end) {
                    long clear = Math.min(end, bits.nextClear(at));
                    merged.set((int) (at - first), (int) (clear - first));
                    at = bits.nextSet(clear);
                }
                long offset = value == 0 ? tables.allocate(1) : own(value, index, tables);
                file.write(
                        offset,
                        ByteBuffer.allocate(clusterBytes).put(merged.toByteArray()).clear());
                table.putLong(index * Long.BYTES, offset);
            }
            at = Math.max(at, bits.nextSet(end));
        }
        return table;
    }

    void writeTable(ByteBuffer table) throws BlockException {
        file.write(entry.tableOffset(), table);
    }

    /// A damaged image may have put something else there as well.
    private long own(long offset, int index, Tables tables) throws BlockException {
        if (tables.refcounts().get(tables.geometry().cluster(offset)) != 1) {
            throw corrupt(
                    "entry %d of the bitmap table is 0x%x, not its own".formatted(index, offset));
        }
        return offset;
    }

    private long bitsInCluster() {
        return clusterBytes * 8L;
    }

    private ByteBuffer table() throws BlockException {
        long[] words = file.readTable("bitmap table", entry.tableOffset(), entry.tableEntries());
        ByteBuffer table = ByteBuffer.allocate(words.length * Long.BYTES);
        table.asLongBuffer().put(words);
        return table;
    }

    private BitSet cluster(long offset) throws BlockException {
        ByteBuffer bytes = ByteBuffer.allocate(clusterBytes);
        file.read(offset, bytes);
        return BitSet.valueOf(bytes.flip());
    }

    private long checked(long value, int index) throws BlockException {
        long offset = value & OFFSET_MASK;
        boolean sound =
                (value & RESERVED_MASK) == 0
                        && (offset == 0 || value == offset)
                        && offset % clusterBytes == 0
                        && offset < file.size();
        if (!sound) {
            throw corrupt("entry %d of the bitmap table is 0x%x".formatted(index, value));
        }
        return value;
    }

    BlockException corrupt(String reason) {
        return file.corrupt("bitmap '%s': %s".formatted(entry.name(), reason));
    }
}
