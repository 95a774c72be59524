package dev.lockstep.block.qcow2.layout;

import dev.lockstep.block.BlockException;

import java.nio.ByteBuffer;
import java.util.List;

/// The first bytes of an image are a header, those after its cluster a snapshot table, and a bitmap
/// directory: whatever they are, they are read or refused, and what was read is written so that it
/// is read again as the same.
final class LayoutFuzz {
    private static final String NAME = "fuzz";

    private LayoutFuzz() {}

    /// What Jazzer calls.
    public static void fuzzerTestOneInput(byte[] input) {
        ByteBuffer image = ByteBuffer.wrap(input);
        try {
            Header header = Header.parse(image, Long.MAX_VALUE, NAME);
            checkHeader(header);
            int start = Math.min(header.clusterBytes(), input.length);
            ByteBuffer rest = image.slice(start, input.length - start);
            checkSnapshots(header, rest);
            checkBitmaps(header, rest);
        } catch (BlockException e) {
            if (e.getMessage().lines().count() != 1) {
                throw new AssertionError("not one sentence: " + e.getMessage(), e);
            }
        }
    }

    private static void checkHeader(Header header) {
        header.geometry();
        ByteBuffer encoded;
        try {
            encoded = header.encode();
        } catch (BlockException _) {
            // The feature names and the padding may need more room than was there.
            return;
        }
        try {
            Header again = Header.parse(encoded, Long.MAX_VALUE, NAME);
            if (!again.equals(header)) {
                throw new AssertionError(header + " was read back as " + again);
            }
        } catch (BlockException e) {
            throw new AssertionError(header + " was not read back", e);
        }
    }

    private static void checkSnapshots(Header header, ByteBuffer table) throws BlockException {
        List<SnapshotEntry> entries = SnapshotEntry.parseTable(table, header, NAME);
        if (entries == null) {
            return;
        }
        ByteBuffer encoded = SnapshotEntry.encodeTable(entries);
        if (!entries.equals(SnapshotEntry.parseTable(encoded, header, NAME))) {
            throw new AssertionError(entries + " were read back otherwise");
        }
    }

    private static void checkBitmaps(Header header, ByteBuffer rest) throws BlockException {
        BitmapsExtension extension = header.bitmaps();
        if (extension == null || extension.directoryBytes() > rest.remaining()) {
            return;
        }
        ByteBuffer directory = rest.slice(0, (int) extension.directoryBytes());
        List<BitmapEntry> entries = BitmapEntry.parseDirectory(directory, header, NAME);
        ByteBuffer encoded = BitmapEntry.encodeDirectory(entries);
        if (!entries.equals(BitmapEntry.parseDirectory(encoded, header, NAME))) {
            throw new AssertionError(entries + " were read back otherwise");
        }
    }
}
