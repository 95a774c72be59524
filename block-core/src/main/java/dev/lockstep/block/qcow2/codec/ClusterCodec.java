package dev.lockstep.block.qcow2.codec;

import dev.lockstep.block.BlockException;

import java.nio.ByteBuffer;

/// Makes a cluster smaller, and whole again. For any number of threads at once; all buffers are
/// direct.
public sealed interface ClusterCodec permits DeflateCodec, ZstdCodec {
    /// Compression type 0: deflate without a header, whose matches reach back 4 KiB at most.
    static ClusterCodec deflate() {
        return DeflateCodec.INSTANCE;
    }

    /// Compression type 1: frames of zstd. Its library is loaded when it is first needed.
    static ClusterCodec zstd() {
        return ZstdCodec.INSTANCE;
    }

    /// Compresses a whole cluster.
    ///
    /// @param target receives the result from its position on; its position moves behind it
    /// @return false if the result does not fit `target`, whose bytes are then undefined and whose
    ///     position is unchanged
    /// @throws BlockException with `UNSUPPORTED` if the library cannot be had on this machine
    boolean compress(ByteBuffer cluster, ByteBuffer target) throws BlockException;

    /// Fills `cluster`, from its position to its limit.
    ///
    /// @param stored the compressed bytes and any others behind them; its position is undefined
    ///     afterwards
    /// @throws BlockException with `CORRUPT` if they do not make a cluster, and as [#compress]
    void decompress(ByteBuffer stored, ByteBuffer cluster) throws BlockException;
}
