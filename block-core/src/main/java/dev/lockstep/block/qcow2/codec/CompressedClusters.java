package dev.lockstep.block.qcow2.codec;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/// Reads the compressed clusters of one image, and makes the bytes of new ones.
public final class CompressedClusters {
    /// The memory for scratch buffers that is kept while nobody needs it: 32 of them for clusters
    /// of the usual size, 2 for the largest.
    private static final int SCRATCH_IDLE_BYTES = 8 << 20;

    private static final int SCRATCH_IDLE_MAX = 32;

    private final BlockDevice file;
    private final ClusterCodec codec;
    private final int clusterBytes;
    private final ClusterCache cache;

    /// A compressed cluster never takes more than its entry can say: `1 << (clusterBits - 8)`
    /// sectors, twice a cluster. Hence this is also enough for a cluster to be compressed and what
    /// came of it.
    private final Pool<ByteBuffer> scratch;

    /// The compressed clusters of an image, whose file stays the caller's.
    public CompressedClusters(BlockDevice file, ClusterCodec codec, int clusterBytes) {
        this.file = file;
        this.codec = codec;
        this.clusterBytes = clusterBytes;
        cache = new ClusterCache(clusterBytes);
        int scratchBytes = 2 * clusterBytes;
        scratch =
                new Pool<>(
                        Math.min(SCRATCH_IDLE_BYTES / scratchBytes, SCRATCH_IDLE_MAX),
                        () -> ByteBuffer.allocateDirect(scratchBytes),
                        _ -> {});
    }

    /// Reads a part of a cluster.
    ///
    /// @param hostOffset where its compressed bytes begin
    /// @param storedBytes how many bytes may belong to it, at most two clusters
    /// @param from where in the cluster the part begins
    /// @param target receives the part, which ends in the cluster
    /// @throws BlockException with `CORRUPT` if they are damaged
    public void read(long hostOffset, int storedBytes, int from, ByteBuffer target)
            throws BlockException {
        if (target.remaining() < clusterBytes || !target.isDirect()) {
            cache.read(hostOffset, from, target, cluster -> load(hostOffset, storedBytes, cluster));
        } else if (!cache.readIfPresent(hostOffset, from, target)) {
            load(hostOffset, storedBytes, target);
        }
    }

    /// Reads a part of a cluster if it was decompressed lately, without blocking.
    public boolean readNow(long hostOffset, int from, ByteBuffer target) {
        return cache.readIfPresent(hostOffset, from, target);
    }

    /// Says that another cluster will be stored where one was. Nobody reads the old one any more.
    public void replaced(long hostOffset) {
        cache.forget(hostOffset);
    }

    /// What came of compressing a cluster.
    public final class Result implements AutoCloseable {
        private final @Nullable ByteBuffer stored;
        private final ByteBuffer memory;

        private Result(@Nullable ByteBuffer stored, ByteBuffer memory) {
            this.stored = stored;
            this.memory = memory;
        }

        /// Fewer bytes than a cluster has, or null if it does not shrink.
        public @Nullable ByteBuffer stored() {
            return stored;
        }

        @Override
        public void close() {
            scratch.giveBack(memory);
        }
    }

    /// Compresses a cluster. A source that is shorter than a cluster is filled up with zeroes.
    public Result compress(ByteBuffer source) throws BlockException {
        ByteBuffer buffer = scratch.take();
        ByteBuffer cluster = whole(source, buffer.slice(0, clusterBytes));
        ByteBuffer stored = buffer.slice(clusterBytes, clusterBytes - 1);
        return new Result(codec.compress(cluster, stored) ? stored.flip() : null, buffer);
    }

    private ByteBuffer whole(ByteBuffer source, ByteBuffer buffer) {
        if (source.isDirect() && source.remaining() == clusterBytes) {
            ByteBuffer cluster = source.slice();
            source.position(source.limit());
            return cluster;
        }
        buffer.put(source);
        while (buffer.hasRemaining()) {
            buffer.put((byte) 0);
        }
        return buffer.flip();
    }

    private void load(long hostOffset, int storedBytes, ByteBuffer cluster) throws BlockException {
        if (hostOffset >= file.size()) {
            throw damaged(hostOffset, "the file ends before it", null);
        }
        int length = (int) Math.min(storedBytes, file.size() - hostOffset);
        scratch.use(
                buffer -> {
                    file.read(hostOffset, buffer.slice(0, length));
                    try {
                        codec.decompress(buffer.slice(0, length), cluster);
                    } catch (BlockException e) {
                        throw damaged(hostOffset, e.getMessage(), e);
                    }
                    return true;
                });
    }

    private BlockException damaged(long hostOffset, String why, @Nullable BlockException cause) {
        return new BlockException(
                cause == null ? Kind.CORRUPT : cause.kind(),
                "%s: the compressed cluster at 0x%x: %s"
                        .formatted(file.description(), hostOffset, why),
                cause);
    }
}
