package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

/// What one pass over an image may take of the heap.
final class MemoryBudget {
    private final String description;
    private final long limitBytes;
    private long takenBytes;

    MemoryBudget(String description, long limitBytes) {
        this.description = description;
        this.limitBytes = limitBytes;
    }

    void take(long bytes) throws BlockException {
        takenBytes += bytes;
        if (takenBytes > limitBytes) {
            throw new BlockException(
                    Kind.NO_MEMORY,
                    "%s: to check the image takes more than %d MiB of memory"
                            .formatted(description, limitBytes >> 20));
        }
    }
}
