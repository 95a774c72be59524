package dev.lockstep.nbd.server;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.memory.MemoryDevice;

import java.nio.ByteBuffer;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/// A memory device without a fast path whose requests from [#HELD_FROM] on wait until they are let
/// go.
final class HeldDevice extends FilterDevice {
    static final long HELD_FROM = 1 << 20;

    final CountDownLatch letGo = new CountDownLatch(1);
    final AtomicInteger held = new AtomicInteger();

    HeldDevice(long size) {
        super(new MemoryDevice("held", size));
    }

    @Override
    public String description() {
        return "held device";
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        await(offset);
        child.read(offset, target);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        await(offset);
        child.write(offset, source, flags);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        await(offset);
        child.zero(offset, length, flags);
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) {
        return false;
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) {
        return false;
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
