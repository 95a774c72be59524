package dev.lockstep.block.qcow2.bitmaps;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.qcow2.layout.BitmapEntry;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.HostRange;
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

    private StoredBits(HostFile file, BitmapEntry entry, int clusterBytes, long count) {
        this.file = file;
        this.entry = entry;
        this.clusterBytes = clusterBytes;
        this.count = count;
    }

    /// The bits of a bitmap.
    ///
    /// @param size of the disk in bytes
    /// @throws BlockException if the table is not as long as the disk demands; that of a bitmap
    ///     which cannot be believed may be, since the disk may have got another length
    static StoredBits of(HostFile file, BitmapEntry entry, int clusterBytes, long size)
            throws BlockException {
        StoredBits bits =
                new StoredBits(file, entry, clusterBytes, count(size, entry.granularityBits()));
        if (bits.tableEntries() != entry.tableEntries() && !entry.inUse()) {
            throw bits.corrupt(
                    "bitmap_table_size is %d, and the disk's length demands %d"
                            .formatted(entry.tableEntries(), bits.tableEntries()));
        }
        return bits;
    }

    /// Stores bits where nothing was, table and all. Nothing refers to it yet.
    static StoredBits create(Tables tables, BitmapEntry entry, ClusterBitmap bits)
            throws BlockException {
        int clusterBytes = tables.geometry().clusterBytes();
        StoredBits fresh = new StoredBits(tables.file(), entry, clusterBytes, bits.size());
        ByteBuffer table = ByteBuffer.allocate(fresh.tableEntries() * Long.BYTES);
        fresh.merge(table, bits, tables);
        long place = tables.allocate(tables.geometry().clusters(table.remaining()));
        BitmapEntry placed = entry.withTable(place, fresh.tableEntries());
        StoredBits stored = new StoredBits(tables.file(), placed, clusterBytes, bits.size());
        stored.writeTable(table);
        return stored;
    }

    /// How many bits a disk takes.
    static long count(long size, int granularityBits) {
        return (size >>> granularityBits) + ((size & ((1L << granularityBits) - 1)) == 0 ? 0 : 1);
    }

    /// Gives the clusters of a bitmap up, which nothing refers to any more.
    static void free(Tables tables, BitmapEntry entry) throws BlockException {
        int clusterBytes = tables.geometry().clusterBytes();
        StoredBits gone = new StoredBits(tables.file(), entry, clusterBytes, 0);
        ByteBuffer table = gone.table();
        for (int index = 0; table.hasRemaining(); index++) {
            long value = gone.checked(table.getLong(), index);
            if (value != 0 && value != ALL_ONES) {
                free(tables, value, clusterBytes);
            }
        }
        free(tables, entry.tableOffset(), table.capacity());
    }

    /// Gives up what lies in whole clusters.
    static void free(Tables tables, long offset, long bytes) throws BlockException {
        Geometry geometry = tables.geometry();
        tables.free(new HostRange(geometry.cluster(offset), geometry.clusters(bytes)), Freed.OTHER);
    }

    /// As the directory tells of it.
    BitmapEntry entry() {
        return entry;
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
        merge(table, bits, tables);
        return table;
    }

    private void merge(ByteBuffer table, ClusterBitmap bits, Tables tables) throws BlockException {
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

    private int tableEntries() {
        return (int) Math.max(1, (count + bitsInCluster() - 1) / bitsInCluster());
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
