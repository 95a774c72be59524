package dev.lockstep.block.qcow2.layout;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/// A dirty tracking bitmap as the bitmap directory tells of it (section "Bitmap directory").
///
/// @param name its name, which no other bitmap of the image has
/// @param tableOffset where its bitmap table begins
/// @param tableEntries how many entries that has
/// @param inUse whether somebody had it in memory and did not save it: its contents are not to be
///     believed
/// @param auto whether it records what is written to the disk
/// @param extraDataCompatible whether the bitmap may be used in spite of extra data
/// @param granularityBits a bit stands for `1 << granularityBits` bytes
/// @param extraData bytes of which nothing is known here; read-only
public record BitmapEntry(
        String name,
        long tableOffset,
        int tableEntries,
        boolean inUse,
        boolean auto,
        boolean extraDataCompatible,
        int granularityBits,
        ByteBuffer extraData) {

    /// An entry with the shortest name.
    static final int BYTES_MIN = 32;

    /// QEMU's limits.
    public static final int NAME_BYTES_MAX = 1023;

    /// A bit stands for at least 512 bytes.
    public static final int GRANULARITY_BITS_MIN = 9;

    /// A bit stands for at most 2 GiB.
    public static final int GRANULARITY_BITS_MAX = 31;

    /// The longest bitmap table: 128 Mi entries of 8 bytes would be 1 GiB; its bitmap may have no
    /// more than [#BITMAP_BYTES_MAX].
    public static final int TABLE_ENTRIES_MAX = 1 << 27;

    /// The longest bitmap: 512 MiB.
    public static final long BITMAP_BYTES_MAX = 512L << 20;

    private static final int FIXED_BYTES = 24;
    private static final int IN_USE = 1;
    private static final int AUTO = 2;
    private static final int EXTRA_DATA_COMPATIBLE = 4;
    private static final int RESERVED_FLAGS = ~(IN_USE | AUTO | EXTRA_DATA_COMPATIBLE);
    private static final int TYPE_DIRTY_TRACKING = 1;

    /// Takes a copy of the bytes.
    public BitmapEntry {
        extraData = new UnknownExtension(0, extraData).data();
    }

    /// Bytes of which nothing is known here, from position to limit.
    @Override
    public ByteBuffer extraData() {
        return extraData.duplicate();
    }

    /// Reads a bitmap directory.
    ///
    /// @param directory all of it
    /// @param header tells how many entries there are
    /// @param description what opens every error
    /// @throws BlockException if an entry is not possible
    public static List<BitmapEntry> parseDirectory(
            ByteBuffer directory, Header header, String description) throws BlockException {
        BitmapsExtension extension = header.bitmaps();
        int count = extension == null ? 0 : extension.count();
        ByteBuffer bytes = directory.slice();
        List<BitmapEntry> entries = new ArrayList<>();
        Set<String> names = new HashSet<>();
        for (int index = 0; index < count; index++) {
            BitmapEntry entry = new Reader(bytes, header, index, description).read();
            if (!names.add(entry.name)) {
                throw corrupt(description, index, "its name was the name of another");
            }
            entries.add(entry);
        }
        if (bytes.hasRemaining()) {
            throw corrupt(
                    description,
                    count - 1,
                    "%d bytes of the directory follow the last".formatted(bytes.remaining()));
        }
        return entries;
    }

    /// The bytes of a bitmap directory.
    public static ByteBuffer encodeDirectory(List<BitmapEntry> entries) {
        int bytes = entries.stream().mapToInt(BitmapEntry::bytes).sum();
        ByteBuffer directory = ByteBuffer.allocate(bytes);
        for (BitmapEntry entry : entries) {
            int end = directory.position() + entry.bytes();
            entry.write(directory);
            directory.position(end);
        }
        return directory.flip();
    }

    /// The same with another table.
    public BitmapEntry withTable(long offset, int entries) {
        return new BitmapEntry(
                name,
                offset,
                entries,
                inUse,
                auto,
                extraDataCompatible,
                granularityBits,
                extraData);
    }

    /// The same with other flags.
    public BitmapEntry withFlags(boolean changedInUse, boolean changedAuto) {
        return new BitmapEntry(
                name,
                tableOffset,
                tableEntries,
                changedInUse,
                changedAuto,
                extraDataCompatible,
                granularityBits,
                extraData);
    }

    private void write(ByteBuffer out) {
        byte[] nameBytes = Names.encode(name);
        out.putLong(tableOffset).putInt(tableEntries);
        out.putInt(
                (inUse ? IN_USE : 0)
                        | (auto ? AUTO : 0)
                        | (extraDataCompatible ? EXTRA_DATA_COMPATIBLE : 0));
        out.put((byte) TYPE_DIRTY_TRACKING).put((byte) granularityBits);
        out.putShort((short) nameBytes.length).putInt(extraData.remaining());
        out.put(extraData()).put(nameBytes);
    }

    /// How many bytes of the directory a bitmap takes that has nothing but a name.
    public static int bytes(String name) {
        return HeaderFormat.padded(FIXED_BYTES + Names.encode(name).length);
    }

    private int bytes() {
        return HeaderFormat.padded(FIXED_BYTES + extraData.remaining() + Names.encode(name).length);
    }

    private static BlockException corrupt(String description, int index, String reason) {
        return new BlockException(
                Kind.CORRUPT,
                "%s: qcow2 bitmap directory: entry %d: %s".formatted(description, index, reason));
    }

    /// Reads one entry.
    private record Reader(ByteBuffer in, Header header, int index, String description) {
        BitmapEntry read() throws BlockException {
            require(in.remaining() >= FIXED_BYTES, "the directory ends within it");
            int end = in.position();
            long tableOffset = in.getLong();
            int tableEntries = in.getInt();
            int flags = in.getInt();
            int type = in.get();
            int granularityBits = in.get();
            int nameBytes = Short.toUnsignedInt(in.getShort());
            int extraBytes = in.getInt();
            require(nameBytes > 0 && nameBytes <= NAME_BYTES_MAX, "name_size is " + nameBytes);
            require(
                    extraBytes >= 0 && extraBytes <= in.remaining() - nameBytes,
                    "the directory ends within it");
            end += HeaderFormat.padded(FIXED_BYTES + extraBytes + nameBytes);
            ByteBuffer extra = in.slice(in.position(), extraBytes);
            byte[] name = new byte[nameBytes];
            in.position(in.position() + extraBytes).get(name);
            require(end <= in.limit(), "the directory ends within it");
            in.position(end);
            require((flags & RESERVED_FLAGS) == 0, "flags are 0x%x".formatted(flags));
            require(type == TYPE_DIRTY_TRACKING, "type is %d".formatted(type & 0xff));
            checkTable(tableOffset, tableEntries, granularityBits);
            return new BitmapEntry(
                    Names.decode(name),
                    tableOffset,
                    tableEntries,
                    (flags & IN_USE) != 0,
                    (flags & AUTO) != 0,
                    (flags & EXTRA_DATA_COMPATIBLE) != 0,
                    granularityBits,
                    extra);
        }

        private void checkTable(long offset, int entries, int granularityBits)
                throws BlockException {
            require(
                    granularityBits >= GRANULARITY_BITS_MIN
                            && granularityBits <= GRANULARITY_BITS_MAX,
                    "granularity_bits is %d".formatted(granularityBits & 0xff));
            require(
                    entries > 0
                            && entries <= TABLE_ENTRIES_MAX
                            && (long) entries << header.clusterBits() <= BITMAP_BYTES_MAX,
                    "bitmap_table_size is " + Integer.toUnsignedString(entries));
            require(
                    offset > 0 && offset % header.clusterBytes() == 0,
                    "bitmap_table_offset is 0x%x".formatted(offset));
        }

        private void require(boolean sound, String reason) throws BlockException {
            if (!sound) {
                throw corrupt(description, index, reason);
            }
        }
    }
}
