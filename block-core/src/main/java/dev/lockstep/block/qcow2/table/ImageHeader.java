package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.HeaderRewrite;
import dev.lockstep.block.qcow2.layout.HeaderSpace;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.UnaryOperator;

/// The header of an open image, in memory and in the file.
public final class ImageHeader {
    /// Up to here the header's fields have fixed places, all in the file's first sector: a change
    /// of them is never torn.
    private static final int FIXED_BYTES = 104;

    /// Guards: changes of `current`, until they are written.
    private final ReentrantLock lock = new ReentrantLock();

    private final HostFile file;
    private final boolean lazy;
    private volatile Header current;

    /// @param lazy refcounts are written when the image is closed, under the dirty bit
    ImageHeader(HostFile file, Header header, boolean lazy) {
        this.file = file;
        this.lazy = lazy && header.version() >= 3;
        current = header;
    }

    /// What it is now.
    public Header current() {
        return current;
    }

    /// Where the header lies, and the tables that it tells of.
    List<HostRange> tables() {
        Header now = current;
        Geometry geometry = now.geometry();
        long l1Bytes = (long) now.l1Entries() * Long.BYTES;
        return List.of(
                new HostRange(0, 1),
                new HostRange(
                        geometry.cluster(now.l1Offset()), Math.max(1, geometry.clusters(l1Bytes))),
                new HostRange(
                        geometry.cluster(now.refcountTableOffset()), now.refcountTableClusters()));
    }

    /// Whether refcounts are written when the image is closed.
    boolean isLazy() {
        return lazy;
    }

    /// Changes it and writes it. A sync makes that durable.
    public void update(UnaryOperator<Header> change) throws BlockException {
        lock.lock();
        try {
            Header after = change.apply(current);
            ByteBuffer old = current.encode();
            ByteBuffer encoded = after.encode();
            int first = old.mismatch(encoded);
            if (first >= 0) {
                write(after, old, encoded, first);
            }
            current = after;
        } finally {
            lock.unlock();
        }
    }

    /// Who wrote the image may have put the extensions elsewhere: where no more than the fixed
    /// fields change, only those are written.
    private void write(Header after, ByteBuffer old, ByteBuffer encoded, int first)
            throws BlockException {
        int end = FIXED_BYTES;
        boolean sameLength = old.remaining() == encoded.remaining();
        if (first >= end
                || !sameLength
                || old.slice(end, old.remaining() - end)
                                .mismatch(encoded.slice(end, encoded.remaining() - end))
                        >= 0) {
            rewrite(after);
            return;
        }
        while (old.get(end - 1) == encoded.get(end - 1)) {
            end--;
        }
        file.write(first, encoded.slice(first, end - first));
    }

    private void rewrite(Header after) throws BlockException {
        ByteBuffer head = ByteBuffer.allocate(after.clusterBytes());
        file.read(0, head);
        HeaderRewrite rewrite = after.rewrite(head.flip());
        if (rewrite.beyond().hasRemaining()) {
            file.write(rewrite.beyondAt(), rewrite.beyond());
            file.sync();
        }
        file.write(0, rewrite.firstSector());
        HeaderSpace stale = rewrite.stale();
        if (stale.bytes() > 0) {
            file.sync();
            file.write(stale.start(), ByteBuffer.allocate(stale.bytes()));
        }
    }

    /// Marks the image as dirty, durably, where refcounts are lazy.
    void beforeChanges() throws BlockException {
        if (lazy) {
            mark(Feature.DIRTY, true);
        }
    }

    /// Sets or clears a feature bit, durably.
    public void mark(Feature feature, boolean set) throws BlockException {
        if (current.has(feature) != set) {
            update(header -> header.with(feature, set));
            file.sync();
        }
    }
}
