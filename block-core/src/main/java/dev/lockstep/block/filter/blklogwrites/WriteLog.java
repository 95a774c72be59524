package dev.lockstep.block.filter.blklogwrites;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.concurrent.locks.ReentrantLock;

/// A log that is being written.
final class WriteLog {
    private final Gate log;
    private final int sectorBytes;
    private final long updateInterval;

    /// Guards: everything below, and what is written to the log. Held during a flush of the disk
    /// too, so that its entry comes before those of later writes.
    private final ReentrantLock lock = new ReentrantLock(true);

    private long entries;
    private long nextSector;

    /// @param append whether it goes on with what the log has
    WriteLog(Gate log, int sectorBytes, long updateInterval, boolean append) throws BlockException {
        this.log = log;
        this.updateInterval = updateInterval;
        nextSector = 1;
        if (!append) {
            this.sectorBytes = sectorBytes;
            update();
            return;
        }
        Superblock found = Superblock.read(log);
        this.sectorBytes = found.sectorBytes();
        while (entries < found.entries()) {
            nextSector += 1 + Entry.read(log, nextSector, this.sectorBytes).dataSectors();
            entries++;
        }
    }

    /// What every request is a multiple of.
    int sectorBytes() {
        return sectorBytes;
    }

    /// Logs a write that was carried out.
    void write(long offset, ByteBuffer data, long flags) throws BlockException {
        int length = data.remaining();
        lock.lock();
        try {
            long at = place(offset, length, flags);
            log.write(at + sectorBytes, data, WriteFlag.NONE);
            ended(length);
        } finally {
            lock.unlock();
        }
    }

    /// Logs a zero that was carried out.
    void zero(long offset, long length, long flags) throws BlockException {
        lock.lock();
        try {
            long at = place(offset, length, flags);
            log.zero(at + sectorBytes, length, WriteFlag.UNMAP);
            ended(length);
        } finally {
            lock.unlock();
        }
    }

    /// Logs a discard that was carried out.
    void discard(long offset, long length) throws BlockException {
        lock.lock();
        try {
            place(offset, length, Entry.DISCARD);
            ended(0);
        } finally {
            lock.unlock();
        }
    }

    /// What is carried out while nothing else is logged.
    @FunctionalInterface
    interface Flush {
        void run() throws BlockException;
    }

    /// Carries a flush out and logs it.
    void flush(Flush flush) throws BlockException {
        lock.lock();
        try {
            flush.run();
            place(0, 0, Entry.FLUSH);
            ended(0);
            update();
        } finally {
            lock.unlock();
        }
    }

    /// Has the log tell of all its entries.
    void close() throws BlockException {
        lock.lock();
        try {
            update();
        } finally {
            lock.unlock();
        }
    }

    /// Makes room for an entry with data, and writes its head.
    ///
    /// @return where it is in the log
    private long place(long offset, long length, long flags) throws BlockException {
        Entry entry = Entry.of(offset / sectorBytes, length / sectorBytes, flags);
        long at = nextSector * sectorBytes;
        log.grow(at + (1 + entry.dataSectors()) * sectorBytes);
        log.write(at, entry.encode(sectorBytes), WriteFlag.NONE);
        return at;
    }

    private void ended(long dataBytes) throws BlockException {
        nextSector += 1 + dataBytes / sectorBytes;
        entries++;
        if (entries % updateInterval == 0) {
            update();
        }
    }

    private void update() throws BlockException {
        log.grow(sectorBytes);
        log.write(0, new Superblock(entries, sectorBytes).encode(), WriteFlag.NONE);
        log.flush();
    }
}
