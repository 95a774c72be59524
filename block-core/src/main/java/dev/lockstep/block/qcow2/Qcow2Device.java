package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.CompressedTarget;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Located;
import dev.lockstep.block.Placing;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.RangeLock.Hold;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.format.Backing;
import dev.lockstep.block.format.Extents;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.format.Layer;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Resizable;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.bitmaps.ImageBitmaps;
import dev.lockstep.block.qcow2.create.Preallocation;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;
import dev.lockstep.block.qcow2.snapshot.Snapshots;
import dev.lockstep.block.qcow2.table.Epochs.Epoch;
import dev.lockstep.block.qcow2.table.Mapping;
import dev.lockstep.block.qcow2.table.Tables;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/// A qcow2 image. See the package's description for how requests go together.
///
/// A flush makes data and metadata durable. Closing writes the metadata too, so that an image which
/// was closed has no leaks, but only a flush before makes that durable.
public final class Qcow2Device
        implements BlockDevice, Resizable, CompressedTarget, Located, Placing, Layer {
    /// How many clusters one step of a long zero or discard locks and changes, so that others get
    /// their turn: some 128 slices of 4 KiB.
    private static final long STEP_CLUSTERS = 1 << 16;

    /// Requests need not be larger than this to be cheap, however large clusters are.
    private static final int PREFERRED_BYTES_MAX = 64 << 10;

    private final String description;
    private final Tables tables;
    private final Image image;
    private final Geometry geometry;
    private final long stepBytes;
    private final ClusterWriter writer;
    private final ClusterEraser eraser;
    private final CompressedWriter compressor;
    private final ClusterPlacer placer;
    private final RangeLock clusters;
    private final Capabilities capabilities;
    private final AtomicBoolean closed = new AtomicBoolean();
    private final CacheCleaner cleaner = new CacheCleaner();
    private final @Nullable ImageBitmaps recording;
    private volatile long size;

    /// @param recording the bitmaps that may have to know what is written; null if nothing can be
    private Qcow2Device(
            Image image, long size, boolean readOnly, @Nullable ImageBitmaps recording) {
        this.recording = recording;
        this.image = image;
        this.size = size;
        tables = image.tables();
        geometry = tables.geometry();
        stepBytes = STEP_CLUSTERS << geometry.clusterBits();
        description = "qcow2 image in " + tables.file().description();
        writer = new ClusterWriter(image);
        clusters = new RangeLock(geometry.clusterBytes());
        eraser = new ClusterEraser(image);
        compressor = new CompressedWriter(image, clusters);
        placer = new ClusterPlacer(image, clusters);
        capabilities =
                new Capabilities(
                        readOnly,
                        Support.EMULATED,
                        Support.NATIVE,
                        Support.NATIVE,
                        1,
                        false,
                        Math.max(4096, Math.min(PREFERRED_BYTES_MAX, geometry.clusterBytes())),
                        true);
    }

    /// Opens an image.
    ///
    /// @param file what the image lies in; it grows as the image does
    /// @param backing what is read where the image has nothing, or null
    /// @param dataFile the external data file, where the image says that it has one
    /// @throws BlockException with one sentence that names the image and says what is wrong
    public static Qcow2Device open(
            Gate file,
            @Nullable Gate backing,
            @Nullable Gate dataFile,
            Qcow2Options options,
            boolean readOnly)
            throws BlockException {
        HostFile host = HostFile.ofImage(file);
        Header header = readOnly ? Parts.header(host) : Parts.soundHeader(host);
        long[] l1 = host.readTable("L1 table", header.l1Offset(), header.l1Entries());
        Tables tables = Parts.tables(host, header, l1, dataFile, options);
        if (!readOnly) {
            tables.header().update(h -> h.with(h.features().withoutUnknownAutoclear()));
        }
        Qcow2Device device =
                new Qcow2Device(
                        Parts.image(tables, new Backing(backing), options),
                        header.size(),
                        readOnly,
                        readOnly ? null : Parts.recording(host, header));
        device.cleaner.start(tables, options.cacheCleanInterval(), device.description);
        return device;
    }

    /// Opens the disk as it was when a snapshot inside the image was taken. It can only be read,
    /// and has the length that the disk has now, as with QEMU.
    /// @throws BlockException as [#open]
    public static Qcow2Device openSnapshot(
            Gate file,
            @Nullable Gate backing,
            @Nullable Gate dataFile,
            Qcow2Options options,
            SnapshotEntry snapshot)
            throws BlockException {
        HostFile host = HostFile.ofImage(file);
        Header header = Parts.header(host);
        long[] l1 =
                host.readTable("L1 table of a snapshot", snapshot.l1Offset(), snapshot.l1Entries());
        int entries = Math.max(l1.length, (int) header.geometry().l1Entries(header.size()));
        Tables tables = Parts.tables(host, header, Arrays.copyOf(l1, entries), dataFile, options);
        return new Qcow2Device(
                Parts.image(tables, new Backing(backing), options), header.size(), true, null);
    }

    /// Reads and checks the header of an image.
    ///
    /// @throws BlockException with one sentence that names the field that is wrong
    public static Header header(Gate file) throws BlockException {
        return Parts.header(HostFile.ofImage(file));
    }

    /// The bitmaps that the image keeps. Those of one that can be written to may be edited while no
    /// request is in flight; that is stored when the image is closed.
    ///
    /// @throws BlockException if what the image says about them is not possible
    public ImageBitmaps bitmaps() throws BlockException {
        ImageBitmaps bitmaps = recording;
        return bitmaps == null
                ? ImageBitmaps.read(tables.file(), tables.header().current(), false)
                : bitmaps;
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public Capabilities capabilities() {
        return capabilities;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        Epoch epoch = tables.enter();
        try {
            image.read(offset, target);
        } finally {
            epoch.leave();
        }
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        Epoch epoch = tables.enter();
        try {
            return image.readNow(offset, target);
        } finally {
            epoch.leave();
        }
    }

    /// What can be written in place is, without a lock; at the first byte that cannot, the rest is
    /// locked.
    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        tables.beforeChange();
        long start = offset;
        int length = source.remaining();
        Epoch epoch = tables.enter();
        try {
            int end = source.limit();
            while (source.hasRemaining()) {
                Mapping found = tables.mappings().lookup(offset, source.remaining());
                if (!(found instanceof Mapping.Data at && at.writable())) {
                    break;
                }
                source.limit(source.position() + (int) at.length());
                tables.file().before(Step.WRITE_AIO);
                image.data().write(at.host(), source);
                source.limit(end);
                offset += at.length();
            }
            if (source.hasRemaining()) {
                try (Hold _ = clusters.exclusive(offset, source.remaining())) {
                    writer.write(offset, source);
                }
            }
        } finally {
            epoch.leave();
            record(start, length);
        }
    }

    /// An external data file has no compressed clusters.
    @Override
    public int compressedUnit() {
        return image.dataElsewhere() ? 0 : geometry.clusterBytes();
    }

    @Override
    public Compressed compress(long offset, ByteBuffer source) throws BlockException {
        return compressor.compress(offset, source, this);
    }

    @Override
    public boolean placesOnWrite() {
        return !image.dataElsewhere();
    }

    @Override
    public boolean place(long offset, long length) throws BlockException {
        return placer.place(offset, length);
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        int length = source.remaining();
        Epoch epoch = tables.enter();
        try {
            boolean written =
                    tables.mappings().lookupNow(offset, length) instanceof Mapping.Data at
                            && at.writable()
                            && at.length() == length
                            && tables.file().damage() == null
                            && image.data().writeNow(at.host(), source);
            if (written) {
                record(offset, length);
            }
            return written;
        } finally {
            epoch.leave();
        }
    }

    /// Tells the bitmaps what was written, or may have been.
    void record(long offset, long length) {
        ImageBitmaps bitmaps = recording;
        if (bitmaps != null) {
            bitmaps.mark(offset, length);
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        long end = offset + length;
        checkZero(offset, length, flags);
        for (long at = offset; at < end; ) {
            long step = Math.min(end, geometry.clusterStart(at) + stepBytes) - at;
            tables.beforeChange();
            Epoch epoch = tables.enter();
            try (Hold _ = clusters.exclusive(at, step)) {
                eraser.zero(at, step, isEnd(at + step), flags, writer);
            } finally {
                epoch.leave();
                record(at, step);
            }
            at += step;
        }
    }

    private void checkZero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        Epoch epoch = tables.enter();
        try {
            eraser.checkZero(offset, length, flags);
        } finally {
            epoch.leave();
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        long end = isEnd(offset + length) ? size : geometry.clusterStart(offset + length);
        for (long at = geometry.clusterEnd(offset); at < end; ) {
            long step = Math.min(end, at + stepBytes) - at;
            tables.beforeChange();
            Epoch epoch = tables.enter();
            try (Hold _ = clusters.exclusive(at, step)) {
                eraser.discard(at, step);
            } finally {
                epoch.leave();
                record(at, step);
            }
            at += step;
        }
    }

    /// The rest of the last cluster lies beyond the disk.
    private boolean isEnd(long offset) {
        return offset == size;
    }

    @Override
    public void flush() throws BlockException {
        if (!capabilities.readOnly()) {
            tables.commit();
        }
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        Extents found = new Extents(offset, image.backing());
        Epoch epoch = tables.enter();
        try {
            for (long end = offset + length; found.end() < end && !found.isFull(); ) {
                Mapping next = tables.mappings().lookup(found.end(), end - found.end());
                switch (next) {
                    case Mapping.Data _, Mapping.Compressed _ ->
                            found.add(next.length(), Extent.Kind.DATA);
                    case Mapping.Zero _ -> found.add(next.length(), Extent.Kind.HOLE);
                    case Mapping.Unallocated _ -> found.addBelow(next.length());
                }
            }
        } finally {
            epoch.leave();
        }
        return found.list();
    }

    @Override
    public Place locate(long offset, long length) throws BlockException {
        Epoch epoch = tables.enter();
        try {
            Mapping found = tables.mappings().lookup(offset, length);
            long position =
                    switch (found) {
                        case Mapping.Data at -> at.host();
                        case Mapping.Zero at -> at.host();
                        default -> -1;
                    };
            boolean elsewhere = tables.header().current().has(Feature.EXTERNAL_DATA);
            return new Place(found.length(), position, elsewhere ? "data-file" : "file");
        } finally {
            epoch.leave();
        }
    }

    @Override
    public long remeasure() {
        return size;
    }

    /// What becomes part of the disk reads as zeroes, whatever the backing file has there.
    @Override
    public void resize(long bytes) throws BlockException {
        Resizer resizer = new Resizer(image);
        resizer.check(bytes);
        long before = size;
        try {
            bitmaps().follow(tables, () -> resize(resizer, bytes));
        } finally {
            size = tables.header().current().size();
        }
        if (bytes < before) {
            tables.cut();
        }
    }

    /// Gives what is on the disk from a position on, where it reads as zeroes, its place at once.
    public void preallocate(long from, Preallocation how) throws BlockException {
        new Preallocator(this, image).run(from, how);
    }

    /// Makes the image one of another version, or with other features. No request is in flight.
    public void amend(Amendment changes) throws BlockException {
        new Amender(this, image, Snapshots.of(tables).list()).run(changes);
    }

    private void resize(Resizer resizer, long bytes) throws BlockException {
        long before = size;
        if (bytes < before) {
            resizer.drop(bytes, before);
            size = bytes;
        } else if (bytes > before) {
            resizer.makeRoom(bytes);
            size = bytes;
            long seen = Math.max(geometry.clusterEnd(before), image.backing().bytes());
            long hidden = Math.min(bytes, seen) - before;
            new Gate(this).zero(before, Math.max(0, hidden), WriteFlag.NONE);
        }
        resizer.publish(bytes);
    }

    @Override
    public void changeBacking(@Nullable String name, @Nullable String format)
            throws BlockException {
        tables.commit();
        tables.header().update(header -> header.withBacking(name, format));
        tables.file().sync();
    }

    @Override
    public void makeEmpty() throws BlockException {
        new Resizer(image).drop(0, size);
        tables.commit();
    }

    /// The internal snapshots. They change the whole image: no request is in flight meanwhile.
    public List<SnapshotEntry> snapshots() throws BlockException {
        return Snapshots.of(tables).list();
    }

    /// Makes an internal snapshot of the disk as it is. No request is in flight.
    public SnapshotEntry createSnapshot(String name, Instant now) throws BlockException {
        return Snapshots.of(tables).create(name, now);
    }

    /// Makes the disk what it was when a snapshot was made, also in its length. No request is in
    /// flight.
    ///
    /// @param idOrName an id, or else a name
    public SnapshotEntry applySnapshot(String idOrName) throws BlockException {
        Snapshots snapshots = Snapshots.of(tables);
        SnapshotEntry applied = snapshots.find(idOrName);
        if (applied.diskBytes().orElse(size) == size) {
            snapshots.apply(applied);
        } else {
            bitmaps().follow(tables, () -> snapshots.apply(applied));
            size = tables.header().current().size();
        }
        record(0, size);
        return applied;
    }

    /// Deletes an internal snapshot. No request is in flight.
    ///
    /// @param idOrName an id, or else a name
    public SnapshotEntry deleteSnapshot(String idOrName) throws BlockException {
        return Snapshots.of(tables).delete(idOrName);
    }

    @Override
    public void close() throws BlockException {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        cleaner.stop();
        if (capabilities.readOnly()) {
            return;
        }
        try {
            if (recording != null) {
                recording.end(tables);
            }
        } finally {
            tables.close();
        }
    }

    @Override
    public String toString() {
        return description;
    }
}
