package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.ReentrantLock;

/// One round over everything that is buffered, in ascending order, to bring it onto the disk.
///
/// Where a stretch cannot be written it goes on with the next, so that one bad spot keeps as little
/// as possible off the disk; the round as a whole has then failed, and another one does the rest.
final class Committer {
    /// What one step writes: large enough for a disk to stream, small enough that a guest who needs
    /// one of its clusters waits a few milliseconds.
    private static final int STEP_BYTES = 1 << 20;

    /// Steps under way at once: one reads the buffers while others are at the disk. Their memory is
    /// 4 MiB.
    private static final int STREAMS = 4;

    private final CommitDevice device;
    private final Layers layers;
    private final Gate disk;

    /// Guards: cursor, failure.
    private final ReentrantLock lock = new ReentrantLock();

    private long cursor;
    private @Nullable BlockException failure;

    Committer(CommitDevice device, Layers layers, Gate disk) {
        this.device = device;
        this.layers = layers;
        this.disk = disk;
    }

    /// Returns when the buffers are empty, all that was in them is on stable storage, and a restart
    /// would find them empty too.
    ///
    /// @throws BlockException if something could not be written; the rest has been
    void run() throws BlockException {
        try {
            round();
            disk.flush();
            layers.flush();
            device.progress().drained();
        } catch (BlockException e) {
            device.progress().failed(e);
            throw e;
        }
    }

    private void round() throws BlockException {
        try (ExecutorService streams = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int stream = 0; stream < STREAMS; stream++) {
                streams.execute(this::stream);
            }
        }
        lock.lock();
        try {
            if (failure != null) {
                throw failure;
            }
        } finally {
            lock.unlock();
        }
        if (layers.nextHeld(0, 1) != null) {
            throw new BlockException(Kind.IO, "the commit ended before the buffers were empty");
        }
    }

    private void stream() {
        ByteBuffer scratch = ByteBuffer.allocateDirect(STEP_BYTES);
        for (Extent step = nextStep(); step != null; step = nextStep()) {
            try {
                device.commit(step.offset(), step.length(), scratch);
            } catch (BlockException e) {
                remember(e);
            } catch (RuntimeException e) {
                remember(new BlockException(Kind.IO, "the commit failed: " + e, e));
            }
        }
    }

    private @Nullable Extent nextStep() {
        lock.lock();
        try {
            Extent step = layers.nextHeld(cursor, STEP_BYTES);
            cursor = step == null ? device.size() : step.end();
            return step;
        } finally {
            lock.unlock();
        }
    }

    private void remember(BlockException cause) {
        lock.lock();
        try {
            if (failure == null) {
                failure = cause;
            }
        } finally {
            lock.unlock();
        }
    }
}
