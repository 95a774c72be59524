package dev.lockstep.block.qcow2.codec;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdDecompressCtx;
import com.github.luben.zstd.ZstdException;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import java.nio.ByteBuffer;

/// Frames of zstd, at its default level as QEMU writes them. A frame is decompressed in one call,
/// so that the cluster itself is the window and a hostile frame cannot ask for memory.
final class ZstdCodec implements ClusterCodec {
    static final ZstdCodec INSTANCE = new ZstdCodec();

    private final Pool<ZstdCompressCtx> compressors =
            new Pool<>(Pool.CORES, ZstdCompressCtx::new, ZstdCompressCtx::close);
    private final Pool<ZstdDecompressCtx> decompressors =
            new Pool<>(Pool.CORES, ZstdDecompressCtx::new, ZstdDecompressCtx::close);

    private ZstdCodec() {}

    @Override
    public boolean compress(ByteBuffer cluster, ByteBuffer target) throws BlockException {
        try {
            return compressors.use(compressor -> compress(compressor, cluster, target));
        } catch (LinkageError e) {
            throw unavailable(e);
        }
    }

    private static boolean compress(
            ZstdCompressCtx compressor, ByteBuffer cluster, ByteBuffer target)
            throws BlockException {
        try {
            int length =
                    compressor.compressDirectByteBuffer(
                            target,
                            target.position(),
                            target.remaining(),
                            cluster,
                            cluster.position(),
                            cluster.remaining());
            target.position(target.position() + length);
            return true;
        } catch (ZstdException e) {
            if (e.getErrorCode() == Zstd.errDstSizeTooSmall()) {
                return false;
            }
            throw new BlockException(Kind.IO, "zstd failed: " + e.getMessage(), e);
        }
    }

    @Override
    public void decompress(ByteBuffer stored, ByteBuffer cluster) throws BlockException {
        try {
            decompressors.use(
                    decompressor -> {
                        while (cluster.hasRemaining()) {
                            frame(decompressor, stored, cluster);
                        }
                        return true;
                    });
        } catch (LinkageError e) {
            throw unavailable(e);
        }
    }

    /// Consumes one frame, which is never empty, so that this ends.
    private static void frame(ZstdDecompressCtx decompressor, ByteBuffer stored, ByteBuffer cluster)
            throws BlockException {
        try {
            long length =
                    Zstd.findDirectByteBufferFrameCompressedSize(
                            stored, stored.position(), stored.remaining());
            if (Zstd.isError(length)) {
                throw new ZstdException(length);
            }
            int made =
                    decompressor.decompressDirectByteBuffer(
                            cluster,
                            cluster.position(),
                            cluster.remaining(),
                            stored,
                            stored.position(),
                            (int) length);
            stored.position(stored.position() + (int) length);
            cluster.position(cluster.position() + made);
        } catch (ZstdException e) {
            throw new BlockException(
                    Kind.CORRUPT, "the frame of zstd is damaged: " + e.getMessage(), e);
        }
    }

    private static BlockException unavailable(LinkageError e) {
        return new BlockException(
                Kind.UNSUPPORTED,
                "zstd's library cannot be loaded: %s (-DZstdTempFolder=DIR names a folder that it"
                                .formatted(e.getMessage())
                        + " can be unpacked to)",
                e);
    }
}
