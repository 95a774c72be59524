package dev.lockstep.block.qcow2.codec;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/// Deflate without a header. The JDK inflates, whatever the window; libz compresses, since only it
/// can be told how far a match may reach back.
final class DeflateCodec implements ClusterCodec {
    /// How far a match may reach back: QEMU's window.
    static final int WINDOW_BITS = 12;

    static final DeflateCodec INSTANCE = new DeflateCodec(Libz.find());

    private final Pool<Inflater> inflaters =
            new Pool<>(Pool.CORES, () -> new Inflater(true), Inflater::end);
    private final Pool<RawDeflater> deflaters;

    /// With the JDK alone if there is no libz.
    DeflateCodec(@Nullable Libz libz) {
        deflaters =
                new Pool<>(
                        Pool.CORES,
                        libz == null ? ForgetfulDeflater::new : libz::deflater,
                        RawDeflater::close);
    }

    @Override
    public boolean compress(ByteBuffer cluster, ByteBuffer target) throws BlockException {
        return deflaters.use(
                deflater -> {
                    int length = deflater.deflate(cluster, target.slice());
                    target.position(target.position() + Math.max(length, 0));
                    return length >= 0;
                });
    }

    @Override
    public void decompress(ByteBuffer stored, ByteBuffer cluster) throws BlockException {
        inflaters.use(
                inflater -> {
                    inflate(inflater, stored, cluster);
                    return true;
                });
    }

    private static void inflate(Inflater inflater, ByteBuffer stored, ByteBuffer cluster)
            throws BlockException {
        try {
            inflater.setInput(stored);
            while (cluster.hasRemaining()) {
                if (inflater.inflate(cluster) == 0) {
                    throw damaged(
                            "they end %d bytes short of a cluster".formatted(cluster.remaining()));
                }
            }
        } catch (DataFormatException e) {
            throw damaged(String.valueOf(e.getMessage()));
        } finally {
            // Lets go of the buffer too.
            inflater.reset();
        }
    }

    private static BlockException damaged(String why) {
        return new BlockException(Kind.CORRUPT, "the deflated bytes are damaged: " + why);
    }
}
