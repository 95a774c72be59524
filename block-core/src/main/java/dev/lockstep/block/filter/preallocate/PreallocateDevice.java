package dev.lockstep.block.filter.preallocate;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Resizable;

import java.util.concurrent.locks.ReentrantLock;

/// Makes a file longer than its user asks for.
final class PreallocateDevice extends FilterDevice implements Resizable {
    /// What the length of every file is a multiple of.
    static final int SECTOR_BYTES = 512;

    private final Gate file;
    private final long extraBytes;
    private final long alignBytes;

    /// Guards: changes of the length, here and of the file.
    private final ReentrantLock lock = new ReentrantLock();

    private volatile long size;

    PreallocateDevice(Gate file, long extraBytes, long alignBytes) {
        super(file);
        this.file = file;
        this.extraBytes = extraBytes;
        this.alignBytes = alignBytes;
        size = file.size();
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public long remeasure() {
        return size;
    }

    @Override
    public void grow(long bytes) throws BlockException {
        lock.lock();
        try {
            if (bytes > file.size()) {
                allocate(bytes);
            }
            size = Math.max(size, Math.ceilDiv(bytes, SECTOR_BYTES) * SECTOR_BYTES);
        } finally {
            lock.unlock();
        }
    }

    private void allocate(long bytes) throws BlockException {
        long before = file.size();
        long after = Math.ceilDiv(bytes + extraBytes, alignBytes) * alignBytes;
        try {
            file.grow(after);
            file.zero(before, after - before, WriteFlag.NONE);
        } catch (BlockException _) {
            // There may be room for what is needed.
            file.grow(bytes);
        }
    }

    /// What was taken too much reads as zeroes, as what becomes part of a disk should.
    @Override
    public void resize(long bytes) throws BlockException {
        if (bytes % SECTOR_BYTES != 0) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: it cannot have %d bytes, which are no multiple of %d"
                            .formatted(description(), bytes, SECTOR_BYTES));
        }
        lock.lock();
        try {
            if (bytes < size || bytes > file.size()) {
                file.resize(bytes);
            }
            size = bytes;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() throws BlockException {
        lock.lock();
        try {
            if (file.size() > size) {
                file.resize(size);
            }
        } finally {
            lock.unlock();
        }
    }
}
