package dev.lockstep.block.qcow2.bitmaps;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.qcow2.layout.BitmapEntry;
import dev.lockstep.block.qcow2.layout.BitmapsExtension;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.table.Tables;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// The dirty bitmaps of an open image.
///
/// What edits them, and what stores them, is called while no request is in flight, and what edits
/// them on an image that is open for writing. Edits are in memory until the bitmaps are stored.
public final class ImageBitmaps {
    /// 128 bitmaps that record a disk of 4 TiB in steps of 64 KiB, when all of it was written to.
    public static final long RECORDING_BYTES_MAX = 1L << 30;

    private final HostFile file;
    private final Header header;

    /// How long the disk is.
    private long size;

    /// What the directory in the file tells of.
    private List<BitmapEntry> directory;

    private long directoryOffset;
    private volatile List<PersistentBitmap> bitmaps = List.of();

    /// Those that record, apart: writes ask for them.
    private volatile PersistentBitmap[] recording = {};

    private ImageBitmaps(HostFile file, Header header, List<BitmapEntry> directory) {
        this.file = file;
        this.header = header;
        this.directory = directory;
        size = header.size();
        BitmapsExtension extension = header.bitmaps();
        directoryOffset = extension == null ? 0 : extension.directoryOffset();
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
            return new ImageBitmaps(file, header, List.of());
        }
        ByteBuffer bytes = ByteBuffer.allocate((int) extension.directoryBytes());
        file.read(extension.directoryOffset(), bytes);
        List<BitmapEntry> directory =
                BitmapEntry.parseDirectory(bytes.flip(), header, file.description());
        List<PersistentBitmap> bitmaps = new ArrayList<>();
        for (BitmapEntry entry : directory) {
            StoredBits stored = StoredBits.of(file, entry, header.clusterBytes(), header.size());
            bitmaps.add(new PersistentBitmap(entry, writable, stored));
        }
        ImageBitmaps read = new ImageBitmaps(file, header, directory);
        read.put(bitmaps);
        return read;
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
        writeFlags(true);
    }

    /// Marks what was written.
    public void mark(long offset, long length) {
        for (PersistentBitmap bitmap : recording) {
            bitmap.mark(offset, length);
        }
    }

    /// Makes a bitmap that records from now on.
    ///
    /// @param granularity how many bytes a bit stands for; 0 for the image's cluster size, but at
    ///     least 4 KiB and at most 64 KiB
    public void add(String name, long granularity) throws BlockException {
        int nameBytes = name.getBytes(StandardCharsets.UTF_8).length;
        long unit = granularity == 0 ? Math.clamp(header.clusterBytes(), 4096, 65536) : granularity;
        int unitBits = Long.numberOfTrailingZeros(unit);
        require(header.version() >= 3, Kind.UNSUPPORTED, "images of version 2 have no bitmaps");
        require(find(name) == null, Kind.INVALID, "there is a bitmap '%s' already".formatted(name));
        require(
                nameBytes > 0 && nameBytes <= BitmapEntry.NAME_BYTES_MAX,
                Kind.INVALID,
                "a bitmap's name has 1 to %d bytes, not %d"
                        .formatted(BitmapEntry.NAME_BYTES_MAX, nameBytes));
        require(
                Long.bitCount(unit) == 1
                        && unitBits >= BitmapEntry.GRANULARITY_BITS_MIN
                        && unitBits <= BitmapEntry.GRANULARITY_BITS_MAX,
                Kind.INVALID,
                "the granularity is a power of two from 512 to 2G, not %d".formatted(unit));
        require(
                bitmaps.size() < BitmapsExtension.COUNT_MAX,
                Kind.UNSUPPORTED,
                "%d bitmaps are the most that are possible".formatted(BitmapsExtension.COUNT_MAX));
        long count = StoredBits.count(size, unitBits);
        require(
                count / Byte.SIZE <= BitmapEntry.BITMAP_BYTES_MAX - header.clusterBytes(),
                Kind.INVALID,
                "bits for %d bytes each would be too many: take a larger granularity"
                        .formatted(unit));
        List<PersistentBitmap> all = new ArrayList<>(bitmaps);
        BitmapEntry entry =
                new BitmapEntry(name, 0, 1, false, true, false, unitBits, ByteBuffer.allocate(0));
        all.add(PersistentBitmap.edited(entry, new ClusterBitmap(count)));
        put(all);
    }

    /// Removes a bitmap, also one that is inconsistent.
    public void remove(String name) throws BlockException {
        List<PersistentBitmap> rest = new ArrayList<>(bitmaps);
        rest.remove(existing(name));
        put(rest);
    }

    /// Takes all marks away.
    public void clear(String name) throws BlockException {
        PersistentBitmap bitmap = existing(name);
        replace(bitmap, bitmap.entry(), new ClusterBitmap(bitmap.bits().size()));
    }

    /// Has it record what is written from now on, or not any more.
    public void enable(String name, boolean enabled) throws BlockException {
        PersistentBitmap bitmap = existing(name);
        replace(bitmap, bitmap.entry().withFlags(false, enabled), bitmap.bits());
    }

    /// Marks in a bitmap what is marked in another, which may be of another image, and have another
    /// granularity.
    ///
    /// @param sourceSize how long the disk is that the other one is about
    public void merge(String name, PersistentBitmap source, long sourceSize) throws BlockException {
        PersistentBitmap bitmap = existing(name);
        require(
                sourceSize == size,
                Kind.INVALID,
                "'%s' is about a disk of %d bytes, and '%s' about one of %d: they cannot be merged"
                        .formatted(name, size, source.name(), sourceSize));
        ClusterBitmap from = source.bits();
        ClusterBitmap bits = bitmap.bits();
        int unit = bitmap.entry().granularityBits();
        int fromUnit = source.entry().granularityBits();
        for (long at = from.nextSet(0); at < from.size(); ) {
            long end = from.nextClear(at);
            long last = Math.min(end << fromUnit, size) - 1;
            bits.set((at << fromUnit) >> unit, (last >> unit) + 1);
            at = from.nextSet(end);
        }
        replace(bitmap, bitmap.entry(), bits);
    }

    /// What gives the disk another length.
    @FunctionalInterface
    public interface Resizing {
        /// Does it, and has the header tell of it.
        void run() throws BlockException;
    }

    /// Goes with a disk that gets another length: what is marked beyond it is forgotten, and what
    /// is new is not marked. Says on disk that all are in use before: after a crash their tables
    /// may not go with the disk. Nothing is recorded meanwhile.
    ///
    /// @throws BlockException also if one is inconsistent, as in QEMU
    public void follow(Tables tables, Resizing resizing) throws BlockException {
        beforeResize();
        try {
            resizing.run();
        } finally {
            resize(tables.header().current().size());
        }
        store(tables, true);
    }

    private void resize(long bytes) throws BlockException {
        List<PersistentBitmap> all = new ArrayList<>();
        size = bytes;
        for (PersistentBitmap bitmap : bitmaps) {
            ClusterBitmap before = bitmap.bits();
            ClusterBitmap after =
                    new ClusterBitmap(StoredBits.count(bytes, bitmap.entry().granularityBits()));
            for (long at = before.nextSet(0); at < Math.min(before.size(), after.size()); ) {
                long end = before.nextClear(at);
                after.set(at, Math.min(end, after.size()));
                at = before.nextSet(end);
            }
            all.add(PersistentBitmap.edited(bitmap.entry(), after));
        }
        put(all);
    }

    /// Their bits are in memory then.
    private void beforeResize() throws BlockException {
        for (PersistentBitmap bitmap : bitmaps) {
            ClusterBitmap _ = bitmap.bits();
        }
        if (!directory.isEmpty()) {
            List<BitmapEntry> inUse =
                    directory.stream().map(entry -> entry.withFlags(true, entry.auto())).toList();
            writeDirectory(inUse);
        }
        recording = new PersistentBitmap[0];
    }

    /// Stores what was marked and what was edited, and says that nothing is in use any more.
    public void end(Tables tables) throws BlockException {
        store(tables, false);
    }

    /// Stores what was marked and what was edited, durably.
    ///
    /// @param inUse whether those that record are still in use
    private void store(Tables tables, boolean inUse) throws BlockException {
        storeMarks(tables);
        boolean edited =
                bitmaps.size() != directory.size()
                        || bitmaps.stream().anyMatch(bitmap -> bitmap.stored() == null);
        if (edited) {
            replaceDirectory(tables, inUse);
        } else {
            writeFlags(inUse);
        }
    }

    /// Stores marks in addition to bits that are stored.
    private void storeMarks(Tables tables) throws BlockException {
        record Pending(StoredBits bits, ByteBuffer table) {}
        List<Pending> pending = new ArrayList<>();
        for (PersistentBitmap bitmap : recording) {
            StoredBits stored = bitmap.stored();
            if (stored != null && bitmap.marked().count() > 0) {
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
    }

    /// The flags change in place: a bitmap that is half saved says that it is in use.
    private void writeFlags(boolean inUse) throws BlockException {
        List<BitmapEntry> entries = entries(inUse);
        if (!entries.equals(directory)) {
            writeDirectory(entries);
        }
    }

    private void writeDirectory(List<BitmapEntry> entries) throws BlockException {
        file.write(directoryOffset, BitmapEntry.encodeDirectory(entries));
        file.sync();
        directory = entries;
    }

    private void replaceDirectory(Tables tables, boolean inUse) throws BlockException {
        List<PersistentBitmap> stored = new ArrayList<>();
        for (PersistentBitmap bitmap : bitmaps) {
            stored.add(
                    bitmap.stored() == null
                            ? bitmap.storedAs(
                                    StoredBits.create(tables, bitmap.entry(), bitmap.marked()))
                            : bitmap);
        }
        put(stored);
        List<BitmapEntry> before = directory;
        long beforeOffset = directoryOffset;
        directory = entries(inUse);
        publish(tables);
        for (BitmapEntry gone : before) {
            if (directory.stream().noneMatch(each -> each.tableOffset() == gone.tableOffset())) {
                StoredBits.free(tables, gone);
            }
        }
        if (!before.isEmpty()) {
            long bytes = BitmapEntry.encodeDirectory(before).remaining();
            StoredBits.free(tables, beforeOffset, bytes);
        }
    }

    /// Has the header tell of the directory, in a new place.
    private void publish(Tables tables) throws BlockException {
        ByteBuffer bytes = BitmapEntry.encodeDirectory(directory);
        int length = bytes.remaining();
        directoryOffset =
                directory.isEmpty() ? 0 : tables.allocate(tables.geometry().clusters(length));
        if (!directory.isEmpty()) {
            file.write(directoryOffset, bytes);
        }
        tables.commit();
        BitmapsExtension extension =
                directory.isEmpty()
                        ? null
                        : new BitmapsExtension(directory.size(), length, directoryOffset);
        tables.header().update(h -> h.withBitmaps(extension));
        file.sync();
    }

    private List<BitmapEntry> entries(boolean inUse) {
        return bitmaps.stream().map(bitmap -> bitmap.entry(inUse)).toList();
    }

    private void replace(PersistentBitmap bitmap, BitmapEntry entry, ClusterBitmap bits)
            throws BlockException {
        List<PersistentBitmap> all = new ArrayList<>(bitmaps);
        all.set(all.indexOf(bitmap), PersistentBitmap.edited(entry, bits));
        put(all);
    }

    private void put(List<PersistentBitmap> all) throws BlockException {
        PersistentBitmap[] active =
                all.stream().filter(PersistentBitmap::isRecording).toArray(PersistentBitmap[]::new);
        long bytes = 0;
        for (PersistentBitmap bitmap : active) {
            bytes += bitmap.marked().size() / Byte.SIZE;
        }
        require(
                bytes <= RECORDING_BYTES_MAX,
                Kind.UNSUPPORTED,
                ("the bitmaps that record may take %d bytes of memory, and %d are allowed: open it"
                                + " read-only, or remove some")
                        .formatted(bytes, RECORDING_BYTES_MAX));
        bitmaps = List.copyOf(all);
        recording = active;
    }

    private PersistentBitmap existing(String name) throws BlockException {
        PersistentBitmap found = find(name);
        if (found == null) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: there is no bitmap '%s'".formatted(file.description(), name));
        }
        return found;
    }

    private void require(boolean possible, Kind kind, String reason) throws BlockException {
        if (!possible) {
            throw new BlockException(kind, "%s: %s".formatted(file.description(), reason));
        }
    }
}
