package dev.lockstep.colo.primary;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Abortable;
import dev.lockstep.block.graph.Startable;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/// A disk of bytes that dawdles at random, in the middle of requests too, fails when told to, and
/// can begin a write in one call and do it in another, on any thread: so overlapping writes that
/// nobody keeps apart do arrive in different orders on two of them.
final class FaultyDisk implements Startable, Abortable {
    private static final int BLOCK_BYTES = 512;

    private final String name;
    private final byte[] bytes;
    private final Random random;
    final AtomicInteger writes = new AtomicInteger();
    final AtomicInteger flushes = new AtomicInteger();

    /// Every request from now on fails with this.
    volatile @Nullable BlockException failure;

    /// The write with this number is the first to fail, and everything after it fails too.
    volatile int failAtWrite = Integer.MAX_VALUE;

    /// Writes that touch this byte fail; -1 for none.
    volatile long badByte = -1;

    FaultyDisk(String name, int size, long seed) {
        this.name = name;
        this.bytes = new byte[size];
        this.random = new Random(seed);
    }

    byte[] bytes() {
        return bytes.clone();
    }

    void fill(byte value) {
        Arrays.fill(bytes, value);
    }

    @Override
    public String description() {
        return name;
    }

    @Override
    public long size() {
        return bytes.length;
    }

    @Override
    public Capabilities capabilities() {
        return Capabilities.FULL;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        check(offset, target.remaining());
        target.put(bytes, (int) offset, target.remaining());
        dawdle();
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        if (writes.incrementAndGet() >= failAtWrite) {
            failure = new BlockException(Kind.IO, "pulled the plug");
        }
        int at = (int) offset;
        while (source.hasRemaining()) {
            dawdle();
            check(at, 1);
            int step = Math.min(BLOCK_BYTES, source.remaining());
            check(at, step);
            source.get(bytes, at, step);
            at += step;
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        write(offset, ByteBuffer.allocate((int) length), flags);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        // What a discard leaves behind differs by device.
        byte[] junk = new byte[(int) length];
        Arrays.fill(junk, (byte) name.charAt(0));
        write(offset, ByteBuffer.wrap(junk), Set.of());
    }

    @Override
    public void flush() throws BlockException {
        flushes.incrementAndGet();
        dawdle();
        check(0, 0);
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        check(0, 0);
        List<Extent> extents = new ArrayList<>();
        for (long at = offset; at < offset + length; ) {
            long end = Math.min(offset + length, (at / BLOCK_BYTES + 1) * BLOCK_BYTES);
            boolean zero = true;
            for (long i = at; i < end; i++) {
                zero &= bytes[(int) i] == 0;
            }
            extents.add(Extent.of(at, end - at, zero ? Extent.Kind.HOLE : Extent.Kind.DATA));
            at = end;
        }
        return extents;
    }

    @Override
    public Pending startRead(long offset, ByteBuffer target) {
        return start(() -> read(offset, target.duplicate()));
    }

    @Override
    public Pending startWrite(long offset, ByteBuffer source, Set<WriteFlag> flags) {
        return start(() -> write(offset, source, flags));
    }

    @Override
    public Pending startZero(long offset, long length, Set<WriteFlag> flags) {
        return start(() -> zero(offset, length, flags));
    }

    @Override
    public Pending startFlush() {
        return start(this::flush);
    }

    @Override
    public void abort(BlockException cause) {
        failure = cause;
    }

    @Override
    public void close() {}

    private static Pending start(Pending request) {
        BlockException[] outcome = new BlockException[1];
        Thread thread =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    try {
                                        request.await();
                                    } catch (BlockException e) {
                                        outcome[0] = e;
                                    }
                                });
        return () -> {
            try {
                thread.join();
            } catch (InterruptedException e) {
                throw new BlockException(Kind.IO, "interrupted", e);
            }
            if (outcome[0] != null) {
                throw outcome[0];
            }
        };
    }

    private void check(long offset, long length) throws BlockException {
        BlockException cause = failure;
        if (cause != null) {
            throw new BlockException(cause.kind(), name + ": " + cause.getMessage(), cause);
        }
        long bad = badByte;
        if (bad >= offset && bad < offset + length) {
            throw new BlockException(Kind.IO, name + ": bad byte " + bad);
        }
    }

    private void dawdle() {
        if (random.nextInt(4) == 0) {
            LockSupport.parkNanos(random.nextInt(100_000));
        }
    }
}
