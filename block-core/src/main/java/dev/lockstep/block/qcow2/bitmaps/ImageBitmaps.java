package dev.lockstep.block.qcow2.bitmaps;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.qcow2.layout.BitmapEntry;
import dev.lockstep.block.qcow2.layout.BitmapsExtension;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.table.Tables;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// The dirty bitmaps of an open image.
public final class ImageBitmaps {
    /// 128 bitmaps that record a disk of 4 TiB in steps of 64 KiB, when all of it was written to.
    public static final long RECORDING_BYTES_MAX = 1L << 30;

    private final HostFile file;
    private final long directoryOffset;
    private final List<PersistentBitmap> bitmaps;

    private ImageBitmaps(HostFile file, long directoryOffset, List<PersistentBitmap> bitmaps) {
        this.file = file;
        this.directoryOffset = directoryOffset;
        this.bitmaps = bitmaps;
    }

    /// Reads which bitmaps an image has.
    ///
    /// @param file the image
    /// @param writable whether the disk can be written to, so that bitmaps have to record that
    /// @throws BlockException if the directory is not possible
    public static ImageBitmaps read(HostFile file, Header header, boolean writable)
            throws BlockException {
        BitmapsExtension extension = header.bitmaps();
        if (extension == null) {
            return new ImageBitmaps(file, 0, List.of());
        }
        ByteBuffer directory = ByteBuffer.allocate((int) extension.directoryBytes());
        file.read(extension.directoryOffset(), directory);
        List<PersistentBitmap> bitmaps = new ArrayList<>();
        long bytes = 0;
        for (BitmapEntry entry :
                BitmapEntry.parseDirectory(directory.flip(), header, file.description())) {
            StoredBits stored = new StoredBits(file, entry, header.clusterBytes(), header.size());
            PersistentBitmap bitmap = new PersistentBitmap(entry, writable, stored);
            bytes += bitmap.isRecording() ? stored.count() / Byte.SIZE : 0;
            bitmaps.add(bitmap);
        }
        if (bytes > RECORDING_BYTES_MAX) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    ("%s: the bitmaps that record may take %d bytes of memory, and %d are allowed:"
                                    + " open it read-only, or remove some")
                            .formatted(file.description(), bytes, RECORDING_BYTES_MAX));
        }
        return new ImageBitmaps(file, extension.directoryOffset(), List.copyOf(bitmaps));
    }

    /// All of them, in the image's order.
    public List<PersistentBitmap> all() {
        return bitmaps;
    }

    /// The bitmap of this name, or null.
    public @Nullable PersistentBitmap find(String name) {
        return bitmaps.stream().filter(each -> each.name().equals(name)).findFirst().orElse(null);
    }

    /// Says on disk that those that record are in use. Nothing is written to the disk before it
    /// returns.
    public void begin() throws BlockException {
        writeDirectory(true);
    }

    /// Marks what was written.
    public void mark(long offset, long length) {
        for (PersistentBitmap bitmap : bitmaps) {
            if (bitmap.isRecording()) {
                bitmap.mark(offset, length);
            }
        }
    }

    /// Stores what was marked, and says that nothing is in use any more. No request is in flight.
    public void end(Tables tables) throws BlockException {
        record Pending(StoredBits bits, ByteBuffer table) {}
        List<Pending> pending = new ArrayList<>();
        for (PersistentBitmap bitmap : bitmaps) {
            if (bitmap.isRecording() && bitmap.marked().count() > 0) {
                StoredBits stored = bitmap.stored();
                pending.add(new Pending(stored, stored.merge(bitmap.marked(), tables)));
            }
        }
        if (!pending.isEmpty()) {
            tables.commit();
            for (Pending each : pending) {
                each.bits().writeTable(each.table());
            }
            file.sync();
        }
        writeDirectory(false);
    }

    /// The flags change in place: a bitmap that is half saved says that it is in use.
    private void writeDirectory(boolean inUse) throws BlockException {
        List<BitmapEntry> entries = bitmaps.stream().map(bitmap -> bitmap.entry(inUse)).toList();
        if (entries.stream().anyMatch(BitmapEntry::auto)) {
            file.write(directoryOffset, BitmapEntry.encodeDirectory(entries));
            file.sync();
        }
    }
}
