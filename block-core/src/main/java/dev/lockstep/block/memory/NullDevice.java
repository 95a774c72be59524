package dev.lockstep.block.memory;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;

/// A disk without a medium: it forgets what is written and reads as zeroes. What is above it can be
/// measured without it.
public final class NullDevice implements BlockDevice {
    private static final int ZEROES_BYTES = 64 << 10;
    private static final ByteBuffer ZEROES = ByteBuffer.allocateDirect(ZEROES_BYTES);

    private final long size;
    private final long latencyNanos;
    private final boolean knownZero;

    /// A disk of `size` bytes.
    ///
    /// @param latency how long each request takes
    /// @param knownZero whether it tells those who ask for extents that it is all zeroes
    public NullDevice(long size, Duration latency, boolean knownZero) {
        this.size = size;
        this.latencyNanos = latency.toNanos();
        this.knownZero = knownZero;
    }

    @Override
    public String description() {
        return "null";
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public Capabilities capabilities() {
        return Capabilities.FULL;
    }

    @Override
    public void read(long offset, ByteBuffer target) {
        pause();
        fill(target);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) {
        pause();
        source.position(source.limit());
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) {
        pause();
    }

    @Override
    public void discard(long offset, long length) {
        pause();
    }

    @Override
    public void flush() {
        pause();
    }

    @Override
    public List<Extent> extents(long offset, long length) {
        Extent.Kind kind = knownZero ? Extent.Kind.ZERO : Extent.Kind.DATA;
        return List.of(Extent.of(offset, length, kind));
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) {
        if (latencyNanos > 0) {
            return false;
        }
        fill(target);
        return true;
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) {
        if (latencyNanos > 0) {
            return false;
        }
        source.position(source.limit());
        return true;
    }

    @Override
    public void close() {}

    private static void fill(ByteBuffer target) {
        while (target.hasRemaining()) {
            target.put(ZEROES.slice(0, Math.min(ZEROES_BYTES, target.remaining())));
        }
    }

    /// A latency is what is asked for; waking early would be another one.
    private void pause() {
        long end = System.nanoTime() + latencyNanos;
        for (long left = latencyNanos; left > 0; left = end - System.nanoTime()) {
            LockSupport.parkNanos(left);
        }
    }
}
