package dev.lockstep.block.qed;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Resizable;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.concurrent.locks.ReentrantLock;

/// The metadata of an open image: where guest clusters lie, and where the file ends. (qed_spec.txt,
/// "Tables")
///
/// What an entry says is checked each time that it is used: it never leads out of the file, into
/// the header or into the L1 table.
final class Tables {
    /// An L2 entry of a cluster that reads as zeroes.
    static final long ZERO = 1;

    /// The backing file's name is at one of these places of the header's first cluster. A new one
    /// is written to the place that the old one is not at.
    private static final int OTHER_NAME_OFFSET = 2048;

    /// Guards: `header`, `end`, and the making of L2 tables.
    private final ReentrantLock lock = new ReentrantLock();

    private final HostFile file;
    private final Pages pages;
    private volatile Header header;

    /// Where the next cluster comes to lie: the file holds nothing from here on.
    private volatile long end;

    Tables(HostFile file, Header header) {
        this.file = file;
        this.header = header;
        pages = new Pages(file);
        end = header.clusterEnd(file.size());
    }

    Header header() {
        return header;
    }

    HostFile file() {
        return file;
    }

    /// What the guest's bytes from `guest` on are, at most `max` of them.
    ///
    /// @throws BlockException with `CORRUPT` if that is not possible
    Run lookup(long guest, long max) throws BlockException {
        long table = pages.entry(header.l1Entry(guest));
        long rest = Math.min(max, restOfTable(guest));
        if (table == 0) {
            return new Run(Run.Kind.UNALLOCATED, 0, rest);
        }
        checkTable(table, guest);
        long place = table + header.l2Entry(guest);
        return run(pages.page(place), place, guest, rest);
    }

    /// The same if that is possible without blocking, otherwise null.
    @Nullable Run lookupNow(long guest, long max) throws BlockException {
        long l1Place = header.l1Entry(guest);
        Page upper = pages.pageNow(l1Place);
        if (upper == null) {
            return null;
        }
        long table = upper.entry(l1Place);
        long rest = Math.min(max, restOfTable(guest));
        if (table == 0) {
            return new Run(Run.Kind.UNALLOCATED, 0, rest);
        }
        checkTable(table, guest);
        long place = table + header.l2Entry(guest);
        Page page = pages.pageNow(place);
        return page == null ? null : run(page, place, guest, rest);
    }

    private long restOfTable(long guest) {
        return header.tableCoverage() - (guest & (header.tableCoverage() - 1));
    }

    private Run run(Page page, long place, long guest, long max) throws BlockException {
        long first = page.entry(place);
        boolean data = first != 0 && first != ZERO;
        long cluster = header.clusterBytes();
        if (data && !header.isPlace(first, cluster, end)) {
            throw file.corrupt(
                    "the L2 entry of byte 0x%x of the disk is 0x%x, where no cluster can be"
                            .formatted(guest, first));
        }
        long inside = guest - header.clusterStart(guest);
        long length = cluster - inside;
        long next = first;
        for (long at = place + Long.BYTES; length < max && at % Page.BYTES != 0; at += Long.BYTES) {
            next += data ? cluster : 0;
            if (page.entry(at) != next || (data && !header.isPlace(next, cluster, end))) {
                break;
            }
            length += cluster;
        }
        length = Math.min(length, max);
        if (data) {
            return new Run(Run.Kind.DATA, first + inside, length);
        }
        return new Run(first == 0 ? Run.Kind.UNALLOCATED : Run.Kind.ZERO, 0, length);
    }

    private void checkTable(long table, long guest) throws BlockException {
        if (!header.isPlace(table, header.tableBytes(), end)) {
            throw file.corrupt(
                    "the L1 entry of byte 0x%x of the disk is 0x%x, where no table can be"
                            .formatted(guest, table));
        }
    }

    /// Has the cluster that a guest's byte lies in read as zeroes, or from a place in the file.
    void set(long guest, long entry) throws BlockException {
        long place = header.l1Entry(guest);
        long table = pages.entry(place);
        if (table == 0) {
            lock.lock();
            try {
                table = pages.entry(place);
                if (table == 0) {
                    table = allocate(header.tableClusters());
                    pages.setL1(place, table);
                }
            } finally {
                lock.unlock();
            }
        }
        checkTable(table, guest);
        pages.setL2(table + header.l2Entry(guest), entry);
    }

    /// Takes clusters in a row, which read as zeroes and are never given back.
    ///
    /// @return where they begin
    long allocate(long clusters) throws BlockException {
        lock.lock();
        try {
            long start = end;
            long bytes = clusters << header.clusterBits();
            if (start > Long.MAX_VALUE / 2 - bytes) {
                throw new BlockException(
                        Kind.NO_SPACE,
                        "%s: its file cannot become longer".formatted(file.description()));
            }
            file.grow(start + bytes);
            end = start + bytes;
            return start;
        } finally {
            lock.unlock();
        }
    }

    /// Lets a request change something: marks the image as one that is to be checked, and has
    /// changes written if there are more than should wait.
    ///
    /// @throws BlockException if the image was found to be damaged: it is not written to any more
    void beforeChange() throws BlockException {
        String damage = file.damage();
        if (damage != null) {
            throw file.corrupt(damage);
        }
        markUnchecked();
        if (pages.isFull()) {
            pages.commit();
        }
    }

    private void markUnchecked() throws BlockException {
        if (header.has(Header.NEED_CHECK)) {
            return;
        }
        lock.lock();
        try {
            if (!header.has(Header.NEED_CHECK)) {
                put(header.with(Header.NEED_CHECK, true).withSize(header.size()));
            }
        } finally {
            lock.unlock();
        }
    }

    /// Writes the header's fields, durably. They are in one sector.
    private void put(Header changed) throws BlockException {
        file.write(0, changed.encode());
        file.sync();
        header = changed;
    }

    /// Makes all that was written before durable.
    void commit() throws BlockException {
        pages.commit();
    }

    /// Records another length of the disk, durably. No request is in flight.
    void resize(long bytes) throws BlockException {
        pages.commit();
        put(header.withSize(bytes));
    }

    /// Records another backing file, durably. No request is in flight.
    void changeBacking(@Nullable String name, boolean raw) throws BlockException {
        Header changed = header.withBacking(name, raw);
        byte[] bytes = changed.nameBytes();
        if (bytes.length > Header.NAME_BYTES_MAX) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: a backing file's name has at most %d bytes"
                            .formatted(file.description(), Header.NAME_BYTES_MAX));
        }
        if (bytes.length > 0) {
            boolean there = header.nameOffset() >= OTHER_NAME_OFFSET;
            changed = changed.withNameAt(there ? Header.BYTES : OTHER_NAME_OFFSET);
            file.write(changed.nameOffset(), ByteBuffer.wrap(bytes));
            file.sync();
        }
        put(changed);
    }

    /// Forgets all that the image has. No request is in flight. A crash leaves what was there, or
    /// nothing.
    void makeEmpty() throws BlockException {
        beforeChange();
        pages.commit();
        file.zero(header.l1Offset(), header.tableBytes(), WriteFlag.NONE);
        file.sync();
        pages.forget();
        if (file.gate().device() instanceof Resizable) {
            end = header.l1Offset() + header.tableBytes();
            file.gate().resize(end);
        }
    }

    /// Writes everything and says that the image needs no check.
    void close() throws BlockException {
        if (!header.has(Header.NEED_CHECK) || file.damage() != null) {
            return;
        }
        pages.commit();
        if (file.size() > end && file.gate().device() instanceof Resizable) {
            file.gate().resize(end);
        }
        put(header.with(Header.NEED_CHECK, false));
    }
}
