package dev.lockstep.nbd;

import dev.lockstep.block.bitmap.ClusterBitmap;

/// Which bytes of a device are marked: what a dirty bitmap, or a list of what a peer lacks, has to
/// offer in order to be a [MetaContext]. Any thread may ask at any time; the answer is that of the
/// moment.
public interface MarkedBytes {
    /// The first marked byte at or after `offset`; beyond the device if there is none.
    long nextMarked(long offset);

    /// The first byte at or after `offset` that is not marked; beyond the device if there is none.
    long nextUnmarked(long offset);

    /// The bytes of the clusters whose bits are set.
    ///
    /// @param clusterBytes what one bit stands for
    static MarkedBytes of(ClusterBitmap bitmap, long clusterBytes) {
        return new MarkedBytes() {
            @Override
            public long nextMarked(long offset) {
                return Math.max(offset, bitmap.nextSet(offset / clusterBytes) * clusterBytes);
            }

            @Override
            public long nextUnmarked(long offset) {
                return Math.max(offset, bitmap.nextClear(offset / clusterBytes) * clusterBytes);
            }
        };
    }
}
