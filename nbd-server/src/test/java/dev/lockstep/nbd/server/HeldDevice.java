package dev.lockstep.nbd.server;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.memory.MemoryDevice;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/// A memory device without a fast path whose requests from [#HELD_FROM] on wait until they are let
/// go.
final class HeldDevice implements BlockDevice {
    static final long HELD_FROM = 1 << 20;

    final CountDownLatch letGo = new CountDownLatch(1);
    final AtomicInteger held = new AtomicInteger();
    private final MemoryDevice memory;

    HeldDevice(long size) {
        memory = new MemoryDevice("held", size);
    }

    @Override
    public String description() {
        return "held device";
    }

    @Override
    public long size() {
        return memory.size();
    }

    @Override
    public Capabilities capabilities() {
        return memory.capabilities();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        await(offset);
        memory.read(offset, target);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        await(offset);
        memory.write(offset, source, flags);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        await(offset);
        memory.zero(offset, length, flags);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        memory.discard(offset, length);
    }

    @Override
    public void flush() {
        memory.flush();
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        return memory.extents(offset, length);
    }

    @Override
    public void close() {
        memory.close();
    }

    private void await(long offset) throws BlockException {
        if (offset < HELD_FROM) {
            return;
        }
        held.incrementAndGet();
        try {
            letGo.await();
        } catch (InterruptedException e) {
            throw new BlockException(BlockException.Kind.GONE, "interrupted", e);
        } finally {
            held.decrementAndGet();
        }
    }
}
