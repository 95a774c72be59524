package dev.lockstep.block.qcow2.layout;

import java.nio.ByteBuffer;

/// What a header takes of its cluster beyond the first sector: from `start` to before `end`, or
/// nothing if they are equal.
public record HeaderSpace(int start, int end) {
    private static final int SECTOR_BYTES = 512;

    /// That of a header which was found to be sound.
    static HeaderSpace of(ByteBuffer head) {
        int extensions = extensionsEnd(head);
        int name = (int) head.getLong(HeaderFormat.BACKING_FILE_OFFSET);
        int nameEnd = name == 0 ? 0 : name + head.getInt(HeaderFormat.BACKING_FILE_SIZE);
        boolean nameAlone = extensions <= SECTOR_BYTES && name >= SECTOR_BYTES;
        int end = Math.max(SECTOR_BYTES, Math.max(extensions, nameEnd));
        return new HeaderSpace(nameAlone ? name : SECTOR_BYTES, end);
    }

    private static int extensionsEnd(ByteBuffer head) {
        int at = HeaderFormat.V2_BYTES;
        if (head.getInt(4) > 2) {
            at = head.getInt(HeaderFormat.HEADER_LENGTH);
        }
        long name = head.getLong(HeaderFormat.BACKING_FILE_OFFSET);
        int end = name == 0 ? head.limit() : (int) name;
        while (at <= end - HeaderFormat.EXTENSION_BYTES
                && head.getInt(at) != HeaderFormat.EXTENSIONS_END) {
            at += HeaderFormat.EXTENSION_BYTES + HeaderFormat.padded(head.getInt(at + 4));
        }
        return Math.min(at + HeaderFormat.EXTENSION_BYTES, end);
    }

    /// How many bytes that are.
    public int bytes() {
        return end - start;
    }

    /// Where there is room for so many bytes beside it, or -1.
    int room(int bytes, int clusterBytes) {
        if (start == end || start >= sectorEnd(SECTOR_BYTES + bytes)) {
            return clusterBytes - SECTOR_BYTES >= bytes ? SECTOR_BYTES : -1;
        }
        int after = sectorEnd(end);
        return clusterBytes - after >= bytes ? after : -1;
    }

    /// What of it lies beside another range.
    HeaderSpace beyond(int otherStart, int otherEnd) {
        if (otherEnd <= start || otherStart >= end) {
            return this;
        }
        return new HeaderSpace(Math.min(otherEnd, end), end);
    }

    /// Where the sector ends that a part ends in.
    static int sectorEnd(int bytes) {
        return (bytes + SECTOR_BYTES - 1) & -SECTOR_BYTES;
    }
}
