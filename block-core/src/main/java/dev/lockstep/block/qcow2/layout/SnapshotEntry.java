package dev.lockstep.block.qcow2.layout;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;

/// An internal snapshot as the snapshot table tells of it (section "Snapshots").
///
/// @param id what identifies it; QEMU uses decimal numbers
/// @param name what people call it
/// @param l1Offset where its L1 table begins
/// @param l1Entries how many entries that has
/// @param dateSeconds when it was taken, in seconds since the epoch
/// @param dateNanos the nanoseconds of that second
/// @param vmClockNanos how long the guest had been running
/// @param vmStateBytes the length of the saved state of the guest, which is stored like guest data
///     at positions beyond the disk's
/// @param diskBytes the length of the guest's disk then; version 2 may not tell, and then it is the
///     image's
/// @param icount the guest's instruction count, if it was recorded
/// @param unknownExtra what the extra data holds beyond that; read-only
public record SnapshotEntry(
        String id,
        String name,
        long l1Offset,
        int l1Entries,
        long dateSeconds,
        long dateNanos,
        long vmClockNanos,
        long vmStateBytes,
        OptionalLong diskBytes,
        OptionalLong icount,
        ByteBuffer unknownExtra) {

    /// An entry without extra data, id or name.
    public static final int BYTES_MIN = 40;

    /// The longest table, as in QEMU: 65536 entries of 1 KiB.
    public static final int TABLE_BYTES_MAX = 64 << 20;

    /// The most extra data that an entry can have, as in QEMU.
    private static final int EXTRA_BYTES_MAX = 1024;

    /// The size of the state, where 32 bits are too few.
    private static final int EXTRA_STATE_BYTES = 8;

    /// The largest state that needs no extra data.
    private static final long STATE_BYTES_MAX = 0xffff_ffffL;

    /// Sizes of the state and the disk; the least that version 3 has.
    private static final int EXTRA_V3_BYTES = 16;

    /// With the instruction count; what follows is not known here.
    private static final int EXTRA_KNOWN_BYTES = 24;

    /// The instruction count's value when there is none.
    private static final long NO_ICOUNT = -1;

    /// Takes a copy of the bytes.
    public SnapshotEntry {
        unknownExtra = new UnknownExtension(0, unknownExtra).data();
    }

    /// What the extra data holds that is not known here, from position to limit.
    @Override
    public ByteBuffer unknownExtra() {
        return unknownExtra.duplicate();
    }

    /// Reads a snapshot table.
    ///
    /// @param table bytes from the beginning of the table on
    /// @param header tells how many entries there are
    /// @param description what opens every error
    /// @return the entries, or null if the table is longer than the bytes that were given
    /// @throws BlockException if an entry is not possible; whether its L1 table lies within the
    ///     file is not known here
    public static @Nullable List<SnapshotEntry> parseTable(
            ByteBuffer table, Header header, String description) throws BlockException {
        ByteBuffer bytes = table.slice();
        List<SnapshotEntry> entries = new ArrayList<>();
        for (int index = 0; index < header.snapshotCount(); index++) {
            int start = bytes.position();
            if (bytes.remaining() < BYTES_MIN || bytes.remaining() < bytesOf(bytes, start)) {
                return null;
            }
            entries.add(read(bytes, header, index, description));
            int end = start + HeaderFormat.padded(bytes.position() - start);
            bytes.position(Math.min(bytes.limit(), end));
        }
        return entries;
    }

    /// How long a table is that [#parseTable] has read.
    public static int tableBytes(ByteBuffer table, Header header) {
        ByteBuffer bytes = table.slice();
        long end = 0;
        for (int index = 0; index < header.snapshotCount(); index++) {
            end = (end + bytesOf(bytes, (int) end) + 7) & -8;
        }
        return (int) end;
    }

    /// The bytes of a snapshot table.
    public static ByteBuffer encodeTable(List<SnapshotEntry> entries) {
        int bytes = entries.stream().mapToInt(e -> HeaderFormat.padded(e.bytes())).sum();
        ByteBuffer table = ByteBuffer.allocate(bytes);
        for (SnapshotEntry entry : entries) {
            int start = table.position();
            entry.write(table);
            table.position(start + HeaderFormat.padded(entry.bytes()));
        }
        return table.flip();
    }

    /// The same with another L1 table.
    public SnapshotEntry withL1(long offset, int entries) {
        return new SnapshotEntry(
                id,
                name,
                offset,
                entries,
                dateSeconds,
                dateNanos,
                vmClockNanos,
                vmStateBytes,
                diskBytes,
                icount,
                unknownExtra);
    }

    private static long bytesOf(ByteBuffer bytes, int start) {
        return BYTES_MIN
                + Integer.toUnsignedLong(bytes.getInt(start + 36))
                + Short.toUnsignedLong(bytes.getShort(start + 12))
                + Short.toUnsignedLong(bytes.getShort(start + 14));
    }

    private static SnapshotEntry read(ByteBuffer in, Header header, int index, String description)
            throws BlockException {
        long l1Offset = in.getLong();
        long l1Entries = Integer.toUnsignedLong(in.getInt());
        byte[] id = new byte[Short.toUnsignedInt(in.getShort())];
        byte[] name = new byte[Short.toUnsignedInt(in.getShort())];
        long dateSeconds = Integer.toUnsignedLong(in.getInt());
        long dateNanos = Integer.toUnsignedLong(in.getInt());
        long vmClockNanos = in.getLong();
        long stateBytes = Integer.toUnsignedLong(in.getInt());
        int extraBytes = in.getInt();
        if (l1Entries > Header.L1_ENTRIES_MAX) {
            throw corrupt(description, index, "l1_size is %d, too large".formatted(l1Entries));
        }
        if (l1Offset < 0 || l1Offset % header.clusterBytes() != 0) {
            throw corrupt(
                    description,
                    index,
                    "its L1 table's offset, 0x%x, is no multiple of the cluster size"
                            .formatted(l1Offset));
        }
        if (extraBytes < 0 || extraBytes > EXTRA_BYTES_MAX) {
            throw corrupt(
                    description,
                    index,
                    "%s bytes of extra data; at most %d are possible"
                            .formatted(Integer.toUnsignedString(extraBytes), EXTRA_BYTES_MAX));
        }
        ByteBuffer extra = in.slice(in.position(), extraBytes);
        in.position(in.position() + extraBytes);
        in.get(id).get(name);
        stateBytes = extraBytes >= EXTRA_STATE_BYTES ? extra.getLong(0) : stateBytes;
        OptionalLong diskBytes =
                extraBytes >= EXTRA_V3_BYTES
                        ? OptionalLong.of(extra.getLong(8))
                        : OptionalLong.empty();
        if (stateBytes < 0 || diskBytes.orElse(0) < 0) {
            throw corrupt(
                    description,
                    index,
                    "a saved state of %s bytes and a disk of %s are too large"
                            .formatted(
                                    Long.toUnsignedString(stateBytes),
                                    Long.toUnsignedString(diskBytes.orElse(0))));
        }
        long icount = extraBytes >= EXTRA_KNOWN_BYTES ? extra.getLong(16) : NO_ICOUNT;
        return new SnapshotEntry(
                Names.decode(id),
                Names.decode(name),
                l1Offset,
                (int) l1Entries,
                dateSeconds,
                dateNanos,
                vmClockNanos,
                stateBytes,
                diskBytes,
                icount == NO_ICOUNT ? OptionalLong.empty() : OptionalLong.of(icount),
                extra.position(Math.min(extraBytes, EXTRA_KNOWN_BYTES)));
    }

    private void write(ByteBuffer out) {
        byte[] idBytes = Names.encode(id);
        byte[] nameBytes = Names.encode(name);
        out.putLong(l1Offset).putInt(l1Entries);
        out.putShort((short) idBytes.length).putShort((short) nameBytes.length);
        out.putInt((int) dateSeconds).putInt((int) dateNanos).putLong(vmClockNanos);
        out.putInt(vmStateBytes > STATE_BYTES_MAX ? 0 : (int) vmStateBytes);
        out.putInt(extraBytes());
        if (extraBytes() > 0) {
            out.putLong(vmStateBytes);
        }
        if (diskBytes.isPresent()) {
            out.putLong(diskBytes.getAsLong());
            out.putLong(icount.orElse(NO_ICOUNT)).put(unknownExtra());
        }
        out.put(idBytes).put(nameBytes);
    }

    private int extraBytes() {
        if (diskBytes.isPresent()) {
            return EXTRA_KNOWN_BYTES + unknownExtra.remaining();
        }
        return vmStateBytes > STATE_BYTES_MAX ? EXTRA_STATE_BYTES : 0;
    }

    private int bytes() {
        return BYTES_MIN + extraBytes() + Names.encode(id).length + Names.encode(name).length;
    }

    private static BlockException corrupt(String description, int index, String reason) {
        return new BlockException(
                Kind.CORRUPT,
                "%s: qcow2 snapshot table: entry %d: %s".formatted(description, index, reason));
    }
}
