package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

/// Requests through a disk, many at once.
final class Bench {
    /// Each has a buffer and a thread.
    static final int DEPTH_MAX = 1024;

    static final int BYTES_MAX = 64 << 20;

    /// Of all buffers together.
    static final long TOTAL_BYTES_MAX = 1 << 30;

    private static final int PAGE_BYTES = 4096;

    /// What to do.
    ///
    /// @param stepBytes from one request's beginning to the next's
    /// @param flushInterval how many requests come between flushes; 0 if there are none
    /// @param drains whether a flush waits for all requests before it
    record Plan(
            boolean write,
            int count,
            int depth,
            int bytes,
            long offset,
            long stepBytes,
            byte pattern,
            int flushInterval,
            boolean drains) {
        String announcement() {
            String requests =
                    "Sending %d %s requests, %d bytes each, %d in parallel (starting at offset %d, step size %d)"
                            .formatted(
                                    count,
                                    write ? "write" : "read",
                                    bytes,
                                    depth,
                                    offset,
                                    stepBytes);
            return flushInterval == 0
                    ? requests
                    : requests + "\nSending flush every %d requests".formatted(flushInterval);
        }
    }

    private final Gate disk;
    private final Plan plan;
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicReference<@Nullable BlockException> failure = new AtomicReference<>();

    Bench(Gate disk, Plan plan) {
        this.disk = disk;
        this.plan = plan;
    }

    /// Does all of it.
    ///
    /// @return how many nanoseconds it took
    long run() throws BlockException {
        if (plan.offset() > disk.size() - plan.bytes()) {
            throw new BlockException(
                    Kind.OUT_OF_RANGE,
                    "a request at %d lies beyond the end of %s, which has %d bytes"
                            .formatted(plan.offset(), disk.description(), disk.size()));
        }
        List<ByteBuffer> buffers = new ArrayList<>();
        for (int i = 0; i < plan.depth(); i++) {
            buffers.add(buffer());
        }
        long began = System.nanoTime();
        int batch = plan.flushInterval() > 0 && plan.drains() ? plan.flushInterval() : plan.count();
        for (int done = 0; done < plan.count(); done += batch) {
            runUntil(Math.min(plan.count(), done + batch), buffers);
            if (batch == plan.flushInterval()) {
                disk.flush();
            }
        }
        return System.nanoTime() - began;
    }

    private void runUntil(int end, List<ByteBuffer> buffers) throws BlockException {
        List<Thread> threads =
                buffers.stream()
                        .map(buffer -> Thread.ofVirtual().start(() -> work(end, buffer)))
                        .toList();
        for (Thread thread : threads) {
            try {
                thread.join();
            } catch (InterruptedException _) {
                failure.compareAndSet(null, new BlockException(Kind.GONE, "it was interrupted"));
            }
        }
        BlockException cause = failure.get();
        if (cause != null) {
            throw cause;
        }
    }

    private void work(int end, ByteBuffer buffer) {
        try {
            while (failure.get() == null) {
                int number = next.getAndUpdate(value -> Math.min(value + 1, end));
                if (number >= end) {
                    return;
                }
                request(position(number), buffer.clear());
                if (flushesAfter(number)) {
                    disk.flush();
                }
            }
        } catch (BlockException e) {
            failure.compareAndSet(null, e);
        }
    }

    private boolean flushesAfter(int number) {
        return !plan.drains()
                && plan.flushInterval() > 0
                && (number + 1) % plan.flushInterval() == 0;
    }

    private void request(long position, ByteBuffer buffer) throws BlockException {
        if (plan.write()) {
            if (!disk.writeNow(position, buffer)) {
                disk.write(position, buffer, WriteFlag.NONE);
            }
        } else if (!disk.readNow(position, buffer)) {
            disk.read(position, buffer);
        }
    }

    /// After the last request that fits it goes on from the beginning of the disk.
    private long position(int number) {
        long places = disk.size() - plan.bytes() + 1;
        return (plan.offset() + number * plan.stepBytes()) % places;
    }

    private ByteBuffer buffer() {
        ByteBuffer buffer =
                ByteBuffer.allocateDirect(plan.bytes() + PAGE_BYTES)
                        .alignedSlice(PAGE_BYTES)
                        .slice(0, plan.bytes());
        for (int at = 0; plan.pattern() != 0 && at < plan.bytes(); at++) {
            buffer.put(at, plan.pattern());
        }
        return buffer;
    }
}
