package dev.lockstep.block.qed;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Located;
import dev.lockstep.block.Placing;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.RangeLock.Hold;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.format.Backing;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Extents;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.format.Layer;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Resizable;
import dev.lockstep.block.graph.Step;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/// A QED image. See the package's description for how requests go together.
///
/// A flush makes data and metadata durable, and so does closing.
public final class QedDevice implements BlockDevice, Resizable, Located, Placing, Layer {
    private static final Logger LOG = LoggerFactory.getLogger(QedDevice.class);

    /// How many clusters one step of a long zero locks and changes, so that others get their turn.
    private static final long STEP_CLUSTERS = 1 << 16;

    /// Requests need not be larger than this to be cheap, however large clusters are.
    private static final int PREFERRED_BYTES_MAX = 64 << 10;

    private static final int ZEROES_BYTES = 1 << 20;

    private static final ByteBuffer ZEROES =
            ByteBuffer.allocateDirect(ZEROES_BYTES).asReadOnlyBuffer();

    private final String description;
    private final HostFile file;
    private final Tables tables;
    private final ClusterWriter image;
    private final Backing backing;
    private final RangeLock clusters;
    private final Capabilities capabilities;
    private final AtomicBoolean closed = new AtomicBoolean();
    private volatile long size;

    private QedDevice(HostFile file, Header header, Backing backing, boolean readOnly) {
        this.file = file;
        this.backing = backing;
        description = "qed image in " + file.description();
        tables = new Tables(file, header);
        image = new ClusterWriter(tables, file, backing);
        clusters = new RangeLock(header.clusterBytes());
        size = header.size();
        capabilities =
                new Capabilities(
                        readOnly,
                        Support.EMULATED,
                        Support.NATIVE,
                        Support.NONE,
                        1,
                        false,
                        Math.min(PREFERRED_BYTES_MAX, header.clusterBytes()),
                        true);
    }

    /// Opens an image. One that needs a check is checked and repaired, unless it is only read.
    ///
    /// @param file what the image lies in; it grows as the image does
    /// @param backing what is read where the image has nothing, or null
    /// @throws BlockException with one sentence that names the image and says what is wrong
    public static QedDevice open(Gate file, @Nullable Gate backing, boolean readOnly)
            throws BlockException {
        HostFile host = HostFile.ofImage(file);
        Header header = Header.read(host);
        if (!readOnly && header.has(Header.NEED_CHECK)) {
            LOG.warn("{}: the image was not closed properly: it is checked", file.description());
            CheckResult result = QedChecker.check(file, Repair.ALL, LOG::debug);
            if (!result.isSound()) {
                throw host.corrupt("it was not closed properly and could not be repaired");
            }
            header = Header.read(host);
        }
        return new QedDevice(host, header, new Backing(backing), readOnly);
    }

    /// Reads and checks the header of an image.
    ///
    /// @throws BlockException with one sentence that names the field that is wrong
    public static Header header(Gate file) throws BlockException {
        return Header.read(HostFile.ofImage(file));
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
        image.read(offset, target);
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return image.readNow(offset, target);
    }

    /// What has a place is written there, without a lock; at the first byte that has none, the rest
    /// is locked.
    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        checkUndamaged();
        int end = source.limit();
        while (source.hasRemaining()) {
            Run run = tables.lookup(offset, source.remaining());
            if (run.kind() != Run.Kind.DATA) {
                break;
            }
            source.limit(source.position() + (int) run.length());
            file.before(Step.WRITE_AIO);
            file.write(run.host(), source);
            source.limit(end);
            offset += run.length();
        }
        if (source.hasRemaining()) {
            tables.beforeChange();
            try (Hold _ = clusters.exclusive(offset, source.remaining())) {
                image.write(offset, source);
            }
        }
    }

    private void checkUndamaged() throws BlockException {
        String damage = file.damage();
        if (damage != null) {
            throw file.corrupt(damage);
        }
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        int length = source.remaining();
        Run run = tables.lookupNow(offset, length);
        return run != null
                && run.kind() == Run.Kind.DATA
                && run.length() == length
                && file.damage() == null
                && file.writeNow(run.host(), source);
    }

    @Override
    public boolean placesOnWrite() {
        return true;
    }

    @Override
    public boolean place(long offset, long length) throws BlockException {
        tables.beforeChange();
        try (Hold _ = clusters.exclusive(offset, length)) {
            return image.place(offset, length);
        }
    }

    /// Clusters that have no place are said to be zero, the others are filled.
    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        if (flags.contains(WriteFlag.FAST)) {
            checkFast(offset, length);
        }
        Header header = tables.header();
        long end = offset + length;
        long stepBytes = STEP_CLUSTERS << header.clusterBits();
        for (long at = offset; at < end; ) {
            long step = Math.min(end, header.clusterStart(at) + stepBytes) - at;
            tables.beforeChange();
            try (Hold _ = clusters.exclusive(at, step)) {
                zeroHeld(at, at + step, flags.contains(WriteFlag.MAY_UNMAP));
            }
            at += step;
        }
    }

    /// @param unmap what reads as zeroes anyway stays unallocated
    private void zeroHeld(long offset, long end, boolean unmap) throws BlockException {
        Header header = tables.header();
        for (long at = offset; at < end; ) {
            Run run = tables.lookup(at, end - at);
            long next = at + run.length();
            if (run.kind() == Run.Kind.DATA) {
                file.zero(run.host(), run.length(), WriteFlag.NONE);
            } else if (run.kind() == Run.Kind.UNALLOCATED && !(unmap && at >= backing.bytes())) {
                long first = header.clusterEnd(at);
                long last = next == size ? header.clusterEnd(next) : header.clusterStart(next);
                if (first >= last) {
                    fill(at, next);
                } else {
                    fill(at, first);
                    for (long each = first; each < last; each += header.clusterBytes()) {
                        tables.set(each, Tables.ZERO);
                    }
                    fill(Math.min(last, next), next);
                }
            }
            at = next;
        }
    }

    private void fill(long offset, long end) throws BlockException {
        if (image.readsAsZero(offset, end - offset)) {
            return;
        }
        for (long at = offset; at < end; ) {
            int step = (int) Math.min(ZEROES_BYTES, end - at);
            image.write(at, ZEROES.slice(0, step));
            at += step;
        }
    }

    /// Fast is what changes tables alone.
    private void checkFast(long offset, long length) throws BlockException {
        Header header = tables.header();
        long end = offset + length;
        for (long at = offset; at < end; ) {
            Run run = tables.lookup(at, end - at);
            long next = at + run.length();
            boolean whole =
                    header.clusterStart(at) == at
                            && (next == size || header.clusterStart(next) == next);
            if (run.kind() == Run.Kind.DATA || !(whole || image.readsAsZero(at, next - at))) {
                throw BlockException.at(
                        Kind.UNSUPPORTED,
                        this,
                        "zero",
                        offset,
                        length,
                        "it would not be faster than a write");
            }
            at = next;
        }
    }

    /// QED has no way to say that a cluster is not needed any more.
    @Override
    public void discard(long offset, long length) {}

    @Override
    public void flush() throws BlockException {
        if (!capabilities.readOnly()) {
            tables.commit();
        }
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        Extents found = new Extents(offset, backing);
        for (long end = offset + length; found.end() < end && !found.isFull(); ) {
            Run run = tables.lookup(found.end(), end - found.end());
            switch (run.kind()) {
                case DATA -> found.add(run.length(), Extent.Kind.DATA);
                case ZERO -> found.add(run.length(), Extent.Kind.HOLE);
                case UNALLOCATED -> found.addBelow(run.length());
            }
        }
        return found.list();
    }

    @Override
    public Place locate(long offset, long length) throws BlockException {
        Run run = tables.lookup(offset, length);
        return new Place(run.length(), run.kind() == Run.Kind.DATA ? run.host() : -1, "file");
    }

    @Override
    public long remeasure() {
        return size;
    }

    /// What becomes part of the disk reads as zeroes, whatever the backing file has there.
    @Override
    public void resize(long bytes) throws BlockException {
        Header header = tables.header();
        long before = size;
        if (bytes < before) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    description + ": a QED image cannot become shorter: convert it to another");
        }
        long max = Header.sizeMax(header.clusterBits(), header.tableClusters());
        if (bytes % Header.SECTOR_BYTES != 0 || bytes > max) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: its length is a multiple of %d bytes, at most %d, not %d"
                            .formatted(description, Header.SECTOR_BYTES, max, bytes));
        }
        size = bytes;
        long seen = Math.max(header.clusterEnd(before), backing.bytes());
        new Gate(this).zero(before, Math.max(0, Math.min(bytes, seen) - before), WriteFlag.NONE);
        tables.resize(bytes);
    }

    @Override
    public void changeBacking(@Nullable String name, @Nullable String format)
            throws BlockException {
        tables.changeBacking(name, "raw".equals(format));
    }

    @Override
    public void makeEmpty() throws BlockException {
        tables.makeEmpty();
    }

    @Override
    public void close() throws BlockException {
        if (closed.compareAndSet(false, true) && !capabilities.readOnly()) {
            tables.close();
        }
    }

    @Override
    public String toString() {
        return description;
    }
}
