package dev.lockstep.block.job;

import dev.lockstep.block.BlockException;

/// Work on whole images that takes a while.
public sealed interface Job permits CommitJob, RebaseJob {
    /// Does it, once, and makes durable what it wrote.
    ///
    /// @throws BlockException if something could not be read or written, or what [#cancel] was
    ///     given; a guest of the image at the top sees what it saw before
    void run() throws BlockException;

    /// Ends it soon.
    void cancel(BlockException cause);

    /// How many bytes are dealt with.
    long doneBytes();

    /// How many there are.
    long totalBytes();
}
