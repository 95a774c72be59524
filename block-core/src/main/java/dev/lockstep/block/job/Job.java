package dev.lockstep.block.job;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.copy.DeviceCopy;
import dev.lockstep.block.graph.Gate;

/// Work on whole images that takes a while: a copy of some of what one of them shows.
public abstract sealed class Job permits CommitJob, RebaseJob {
    private final DeviceCopy copy;
    private final Gate written;
    private final long totalBytes;

    /// @param written what the copy writes to
    /// @param totalBytes how long the image is that it looks at
    Job(DeviceCopy copy, Gate written, long totalBytes) {
        this.copy = copy;
        this.written = written;
        this.totalBytes = totalBytes;
    }

    /// Does it, once, and makes durable what it wrote.
    ///
    /// @throws BlockException if something could not be read or written, or what [#cancel] was
    ///     given; a guest of the image at the top sees what it saw before
    public final void run() throws BlockException {
        copy.run();
        written.flush();
    }

    /// Ends it soon.
    public final void cancel(BlockException cause) {
        copy.cancel(cause);
    }

    /// How many bytes are dealt with.
    public final long doneBytes() {
        return copy.doneBytes();
    }

    /// How many there are.
    public final long totalBytes() {
        return totalBytes;
    }
}
