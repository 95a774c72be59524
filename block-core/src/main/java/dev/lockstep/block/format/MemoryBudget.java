package dev.lockstep.block.format;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

/// What one pass over an image may take of the heap.
public final class MemoryBudget {
    private final String description;
    private final long limitBytes;
    private long takenBytes;

    /// For an image.
    ///
    /// @param description of the image
    public MemoryBudget(String description, long limitBytes) {
        this.description = description;
        this.limitBytes = limitBytes;
    }

    /// Counts some of it as taken.
    ///
    /// @throws BlockException with `NO_MEMORY` if that is too much
    public void take(long bytes) throws BlockException {
        takenBytes += bytes;
        if (takenBytes > limitBytes) {
            throw new BlockException(
                    Kind.NO_MEMORY,
                    "%s: to check the image takes more than %d MiB of memory"
                            .formatted(description, limitBytes >> 20));
        }
    }
}
