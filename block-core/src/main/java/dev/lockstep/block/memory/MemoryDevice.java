package dev.lockstep.block.memory;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReferenceArray;

/// A sparse disk in memory. Nothing survives [#close].
///
/// The bytes lie in chunks that a two-level table points to; an absent chunk reads as zeroes. A
/// chunk is put in place and taken away with one atomic step and is otherwise accessed without
/// locks: a request that overlaps one in flight has no order with it, and one that does not overlap
/// touches other bytes.
public final class MemoryDevice implements BlockDevice {
    /// 256 TiB: the largest size whose root table (1 Mi entries, 4 MiB) is still nothing to speak
    /// of.
    public static final long SIZE_MAX = 1L << 48;

    /// Small enough that a random write touches little, large enough that the table stays small.
    private static final int CHUNK_BITS = 16;

    private static final int CHUNK_BYTES = 1 << CHUNK_BITS;

    private static final byte[] ZEROES = new byte[CHUNK_BYTES];

    /// A branch of the table has this many chunks, 256 MiB.
    private static final int BRANCH_BITS = 12;

    private static final int BRANCH_CHUNKS = 1 << BRANCH_BITS;

    /// After this many extents the answer stops short.
    private static final int EXTENTS_MAX = 1024;

    private final String name;
    private final long size;
    private volatile AtomicReferenceArray<@Nullable AtomicReferenceArray<byte @Nullable []>> root;

    /// A disk of `size` zeroes.
    public MemoryDevice(long size) {
        this("memory", size);
    }

    /// A disk of `size` zeroes with a name for people.
    public MemoryDevice(String name, long size) {
        if (size < 0 || size > SIZE_MAX) {
            throw new IllegalArgumentException(
                    "%s: a size of %d bytes; at most %d is possible"
                            .formatted(name, size, SIZE_MAX));
        }
        this.name = name;
        this.size = size;
        long branches =
                (size + (1L << (CHUNK_BITS + BRANCH_BITS)) - 1) >> CHUNK_BITS >> BRANCH_BITS;
        this.root = new AtomicReferenceArray<>((int) branches);
    }

    @Override
    public String description() {
        return name;
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
        long at = offset;
        while (target.hasRemaining()) {
            int start = startInChunk(at);
            int length = Math.min(CHUNK_BYTES - start, target.remaining());
            byte[] chunk = chunk(at);
            target.put(chunk == null ? ZEROES : chunk, start, length);
            at += length;
        }
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        long at = offset;
        while (source.hasRemaining()) {
            int start = startInChunk(at);
            int length = Math.min(CHUNK_BYTES - start, source.remaining());
            source.get(chunkForWriting(at), start, length);
            at += length;
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) {
        clear(offset, length, flags.contains(WriteFlag.MAY_UNMAP));
    }

    @Override
    public void discard(long offset, long length) {
        clear(offset, length, true);
    }

    @Override
    public void flush() {}

    @Override
    public List<Extent> extents(long offset, long length) {
        List<Extent> found = new ArrayList<>();
        long end = offset + length;
        for (long at = offset; at < end && found.size() < EXTENTS_MAX; ) {
            boolean present = chunk(at) != null;
            long next = at;
            do {
                next = Math.min(end, nextBoundary(next));
            } while (next < end && (chunk(next) != null) == present);
            found.add(Extent.of(at, next - at, present ? Extent.Kind.DATA : Extent.Kind.HOLE));
            at = next;
        }
        return found;
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) {
        read(offset, target);
        return true;
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        write(offset, source, WriteFlag.NONE);
        return true;
    }

    @Override
    public void close() {
        root = new AtomicReferenceArray<>(root.length());
    }

    /// Bytes of memory held for contents.
    public long allocatedBytes() {
        long chunks = 0;
        var table = root;
        for (int index = 0; index < table.length(); index++) {
            var branch = table.get(index);
            for (int slot = 0; branch != null && slot < BRANCH_CHUNKS; slot++) {
                chunks += branch.get(slot) == null ? 0 : 1;
            }
        }
        return chunks << CHUNK_BITS;
    }

    private void clear(long offset, long length, boolean unmap) {
        long end = offset + length;
        for (long at = offset; at < end; ) {
            int start = startInChunk(at);
            long next = Math.min(end, nextBoundary(at));
            byte[] chunk = chunk(at);
            if (chunk != null && unmap && next - at == CHUNK_BYTES) {
                drop(at);
            } else if (chunk != null) {
                Arrays.fill(chunk, start, start + (int) (next - at), (byte) 0);
            }
            at = next;
        }
    }

    /// The end of the chunk that `at` lies in, or of the branch if all of that is absent.
    private long nextBoundary(long at) {
        int bits = root.get(branchOf(at)) == null ? CHUNK_BITS + BRANCH_BITS : CHUNK_BITS;
        return ((at >> bits) + 1) << bits;
    }

    private byte @Nullable [] chunk(long at) {
        var branch = root.get(branchOf(at));
        return branch == null ? null : branch.get(slotOf(at));
    }

    private byte[] chunkForWriting(long at) throws BlockException {
        byte[] chunk = chunk(at);
        if (chunk != null) {
            return chunk;
        }
        try {
            var branch = branchForWriting(branchOf(at));
            byte[] fresh = new byte[CHUNK_BYTES];
            byte[] winner = branch.compareAndExchange(slotOf(at), null, fresh);
            return winner == null ? fresh : winner;
        } catch (OutOfMemoryError e) {
            throw new BlockException(
                    Kind.NO_MEMORY, "%s: no memory for 0x%x".formatted(name, at), e);
        }
    }

    private AtomicReferenceArray<byte @Nullable []> branchForWriting(int index) {
        var table = root;
        var branch = table.get(index);
        if (branch == null) {
            var fresh = new AtomicReferenceArray<byte @Nullable []>(BRANCH_CHUNKS);
            branch = table.compareAndExchange(index, null, fresh);
            return branch == null ? fresh : branch;
        }
        return branch;
    }

    private void drop(long at) {
        var branch = root.get(branchOf(at));
        if (branch != null) {
            branch.set(slotOf(at), null);
        }
    }

    private static int branchOf(long at) {
        return (int) (at >> (CHUNK_BITS + BRANCH_BITS));
    }

    private static int slotOf(long at) {
        return (int) (at >> CHUNK_BITS) & (BRANCH_CHUNKS - 1);
    }

    private static int startInChunk(long at) {
        return (int) at & (CHUNK_BYTES - 1);
    }
}
