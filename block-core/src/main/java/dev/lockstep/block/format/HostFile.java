package dev.lockstep.block.format;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.graph.StepObserver;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.nio.ByteBuffer;
import java.util.Set;

/// The file that an image lies in. Reading past its end gives zeroes, as it does for QEMU, which
/// leaves the last cluster of a file incomplete; writing there makes it longer.
public final class HostFile {
    private static final Logger LOG = LoggerFactory.getLogger(HostFile.class);

    /// Files grow in steps, so that few requests wait for it; what is too much is cut off when the
    /// image is closed.
    private static final long GROWTH_BYTES = 16 << 20;

    private static final long SECTOR_BYTES = 512;

    private final Gate file;
    private final long growthBytes;
    private final StepObserver observer;
    private volatile @Nullable String damage;

    private HostFile(Gate file, long growthBytes) {
        this.file = file;
        this.growthBytes = growthBytes;
        observer = StepObserver.below(file);
    }

    /// The file of an image.
    public static HostFile ofImage(Gate file) {
        return new HostFile(file, GROWTH_BYTES);
    }

    /// An external data file, which is not longer than it has to be: it may be a raw image.
    public static HostFile ofData(Gate file) {
        return new HostFile(file, SECTOR_BYTES);
    }

    /// For people.
    public String description() {
        return file.description();
    }

    /// Its length in bytes.
    public long size() {
        return file.size();
    }

    /// What was found to be wrong with the image, or null.
    public @Nullable String damage() {
        return damage;
    }

    /// The gate itself.
    public Gate gate() {
        return file;
    }

    /// Says what is about to be done. It is said of the image's file, also where the data lies in
    /// another.
    public void before(Step step) {
        observer.before(step);
    }

    /// Fills the buffer.
    public void read(long offset, ByteBuffer target) throws BlockException {
        long there = file.size() - offset;
        if (there >= target.remaining()) {
            file.read(offset, target);
            return;
        }
        int end = target.limit();
        if (there > 0) {
            target.limit(target.position() + (int) there);
            file.read(offset, target);
            target.limit(end);
        }
        Zeroes.put(target);
    }

    /// Fills the buffer if that is possible without blocking.
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return offset <= file.size() - target.remaining() && file.readNow(offset, target);
    }

    /// Writes the buffer.
    public void write(long offset, ByteBuffer source) throws BlockException {
        if (offset > file.size() - source.remaining()) {
            grow(offset + source.remaining());
        }
        file.write(offset, source, WriteFlag.NONE);
    }

    /// Writes the buffer if that is possible without blocking.
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return offset <= file.size() - source.remaining() && file.writeNow(offset, source);
    }

    /// Makes a range read as zeroes, where it does not lie past the end anyway.
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        file.zero(offset, within(offset, length), flags);
    }

    /// Says that a range is not needed any more. Only a hint: if the file refuses, the range keeps
    /// its space.
    public void release(long offset, long length) {
        try {
            file.discard(offset, within(offset, length));
        } catch (BlockException e) {
            LOG.debug("{}", e.getMessage());
        }
    }

    /// Makes it no longer than this, where its length can change.
    ///
    /// @return whether it did
    public boolean cut(long bytes) {
        try {
            file.resize(bytes);
            return true;
        } catch (BlockException e) {
            LOG.debug("{}", e.getMessage());
            return false;
        }
    }

    private long within(long offset, long length) {
        return Math.clamp(file.size() - offset, 0, length);
    }

    /// Makes it at least so long.
    public void grow(long bytes) throws BlockException {
        if (bytes <= file.size()) {
            return;
        }
        before(Step.CLUSTER_ALLOC_SPACE);
        try {
            file.grow((bytes + growthBytes - 1) & -growthBytes);
        } catch (BlockException e) {
            if (e.kind() != Kind.NO_SPACE) {
                throw e;
            }
            file.grow(bytes);
        }
    }

    /// Returns when everything that was written before is on stable storage.
    public void sync() throws BlockException {
        file.flush();
    }

    /// Reads a table of 64-bit numbers.
    ///
    /// @throws BlockException with `CORRUPT` if it does not lie within the file
    public long[] readTable(String name, long offset, int entries) throws BlockException {
        if (offset < 0 || offset > file.size()) {
            throw corrupt("the %s at 0x%x lies outside of the file".formatted(name, offset));
        }
        ByteBuffer bytes = ByteBuffer.allocate(entries * Long.BYTES);
        read(offset, bytes);
        long[] table = new long[entries];
        bytes.flip().asLongBuffer().get(table);
        return table;
    }

    /// A table of 64-bit numbers as it is written.
    public static ByteBuffer bytes(long[] table) {
        ByteBuffer bytes = ByteBuffer.allocate(table.length * Long.BYTES);
        bytes.asLongBuffer().put(table);
        return bytes;
    }

    /// A failure that says what is wrong with the image, which is remembered.
    public BlockException corrupt(String what) {
        damage = what;
        return new BlockException(
                Kind.CORRUPT,
                "%s: the image is damaged: %s; 'lockstep img check -r all' may repair it"
                        .formatted(description(), what));
    }

    /// A failure that says that the image's tables cannot count more.
    public BlockException full() {
        return new BlockException(
                Kind.NO_SPACE,
                "%s: the image cannot have more clusters: convert it to one with larger clusters"
                        .formatted(description()));
    }
}
