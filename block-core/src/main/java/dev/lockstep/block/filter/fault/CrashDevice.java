package dev.lockstep.block.filter.fault;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.random.RandomGenerator;

/// A filter that makes the disk below forget what was not flushed, as a power cut does.
///
/// Written sectors stay here, with every value they had since the last flush, and reach the disk
/// below on a flush or with FUA. [#crash] decides for each sector by itself which of these values,
/// or the flushed one, survives: so requests are lost, reordered and torn, but a sector never is.
/// Afterwards the disk below holds what survived, and every request here fails.
public final class CrashDevice implements BlockDevice {
    /// What a disk writes at once or not at all.
    public static final int SECTOR_BYTES = 512;

    /// 64 MiB of remembered values. A real cache writes back when it is full, and so does this.
    private static final int VERSIONS_MAX = (64 << 20) / SECTOR_BYTES;

    private final Gate child;

    /// Guards: everything below, and the order of what reaches the child.
    private final ReentrantLock lock = new ReentrantLock();

    /// By sector number, the values since the last flush, oldest first. The disk reads as the last.
    private final Map<Long, List<byte[]>> cache = new TreeMap<>();

    private int versions;
    private boolean crashed;

    /// A volatile cache above a disk whose size is a multiple of a sector.
    public CrashDevice(Gate child) {
        if (child.size() % SECTOR_BYTES != 0) {
            throw new IllegalArgumentException(
                    "%s: %d bytes are not whole sectors"
                            .formatted(child.description(), child.size()));
        }
        this.child = child;
    }

    /// Cuts the power. The disk below is left with what survived.
    public void crash(RandomGenerator random) throws BlockException {
        lock.lock();
        try {
            crashed = true;
            for (Map.Entry<Long, List<byte[]>> sector : cache.entrySet()) {
                int survivor = random.nextInt(sector.getValue().size() + 1) - 1;
                if (survivor >= 0) {
                    store(sector.getKey(), sector.getValue().get(survivor));
                }
            }
            cache.clear();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public String description() {
        return child.description();
    }

    @Override
    public long size() {
        return child.size();
    }

    @Override
    public Capabilities capabilities() {
        return new Capabilities(
                child.capabilities().readOnly(),
                Capabilities.Support.NATIVE,
                Capabilities.Support.EMULATED,
                Capabilities.Support.NONE,
                1,
                false,
                4096,
                true);
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        lock.lock();
        try {
            checkAlive();
            long at = offset;
            while (target.hasRemaining()) {
                int start = (int) (at % SECTOR_BYTES);
                int length = Math.min(SECTOR_BYTES - start, target.remaining());
                target.put(value(at / SECTOR_BYTES), start, length);
                at += length;
            }
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        boolean fua = flags.contains(WriteFlag.FUA);
        lock.lock();
        try {
            checkAlive();
            long at = offset;
            while (source.hasRemaining()) {
                int start = (int) (at % SECTOR_BYTES);
                int length = Math.min(SECTOR_BYTES - start, source.remaining());
                long sector = at / SECTOR_BYTES;
                byte[] value = value(sector).clone();
                source.get(value, start, length);
                if (fua) {
                    store(sector, value);
                    forget(cache.remove(sector));
                } else {
                    cache.computeIfAbsent(sector, _ -> new ArrayList<>()).add(value);
                    versions++;
                }
                at += length;
            }
            if (fua || versions > VERSIONS_MAX) {
                settle(versions > VERSIONS_MAX);
            }
        } finally {
            lock.unlock();
        }
    }

    /// Never called: the gate writes zeroes.
    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        throw BlockException.at(Kind.UNSUPPORTED, this, "zero", offset, length, "not supported");
    }

    @Override
    public void discard(long offset, long length) {}

    @Override
    public void flush() throws BlockException {
        lock.lock();
        try {
            checkAlive();
            settle(true);
        } finally {
            lock.unlock();
        }
    }

    /// Data everywhere, since what is here covers what is below.
    @Override
    public List<Extent> extents(long offset, long length) {
        return List.of(Extent.of(offset, length, Extent.Kind.DATA));
    }

    @Override
    public void close() {}

    private byte[] value(long sector) throws BlockException {
        List<byte[]> values = cache.get(sector);
        if (values != null) {
            return values.getLast();
        }
        byte[] value = new byte[SECTOR_BYTES];
        child.read(sector * SECTOR_BYTES, ByteBuffer.wrap(value));
        return value;
    }

    private void settle(boolean all) throws BlockException {
        if (all) {
            for (Map.Entry<Long, List<byte[]>> sector : cache.entrySet()) {
                store(sector.getKey(), sector.getValue().getLast());
            }
            cache.clear();
            versions = 0;
        }
        child.flush();
    }

    private void store(long sector, byte[] value) throws BlockException {
        child.write(sector * SECTOR_BYTES, ByteBuffer.wrap(value), WriteFlag.NONE);
    }

    private void forget(@Nullable List<byte[]> values) {
        versions -= values == null ? 0 : values.size();
    }

    private void checkAlive() throws BlockException {
        if (crashed) {
            throw new BlockException(Kind.GONE, description() + ": injected fault: power cut");
        }
    }
}
