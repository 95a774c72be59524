package dev.lockstep.block.copy;

/// How a copy is made.
///
/// @param requestBytes the longest read or write; a power of two
/// @param workers requests in flight; with one, the copy is in the order of positions
/// @param sparseBytes blocks of so many zero bytes within data are zeroed and not written, or 0 to
///     write all data as it is
/// @param alignment data is read and written from a multiple of this to another, or to the end; a
///     power of two, at most a request's length
/// @param useExtents whether the source is asked what reads as zeroes; otherwise all is read
/// @param targetIsZero whether the target is known to read as zeroes, so that zeroes are left out
/// @param allocate whether zeroes take space on the target, as far as it can do that
/// @param topLayerOnly whether what the source's backing images have is left out, since the target
///     has it too
public record CopyOptions(
        int requestBytes,
        int workers,
        int sparseBytes,
        int alignment,
        boolean useExtents,
        boolean targetIsZero,
        boolean allocate,
        boolean topLayerOnly,
        boolean anyOrder) {

    /// Large enough that a request's fixed costs do not matter, small enough that what was read is
    /// still in the core's cache when it is written.
    public static final int REQUEST_BYTES_DEFAULT = 256 << 10;

    /// Enough to keep two sides busy; 4 MiB of buffers at the default length.
    public static final int WORKERS_DEFAULT = 16;

    /// What file systems allocate.
    public static final int SPARSE_BYTES_DEFAULT = 4096;

    /// The defaults, for a target of which nothing is known.
    public static final CopyOptions DEFAULT =
            new CopyOptions(
                    REQUEST_BYTES_DEFAULT,
                    WORKERS_DEFAULT,
                    SPARSE_BYTES_DEFAULT,
                    1,
                    true,
                    false,
                    false,
                    false,
                    false);

    /// Checks the numbers.
    public CopyOptions {
        if (Integer.bitCount(requestBytes) != 1 || requestBytes < 1) {
            throw new IllegalArgumentException("a request's length is a power of two");
        }
        if (workers < 1) {
            throw new IllegalArgumentException("a copy needs a worker");
        }
        if (sparseBytes < 0) {
            throw new IllegalArgumentException("zero blocks have a length, or 0");
        }
        if (Integer.bitCount(alignment) != 1 || alignment < 1 || alignment > requestBytes) {
            throw new IllegalArgumentException("an alignment is a power of two within a request");
        }
    }

    /// The same for a target that reads as zeroes.
    public CopyOptions withTargetIsZero() {
        return with(true, topLayerOnly);
    }

    /// The same for a target that may read as zeroes, and may have what the source's backing images
    /// have.
    public CopyOptions with(boolean isZero, boolean topOnly) {
        return new CopyOptions(
                requestBytes,
                workers,
                sparseBytes,
                alignment,
                useExtents,
                isZero,
                allocate,
                topOnly,
                anyOrder);
    }
}
