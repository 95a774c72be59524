package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.job.Job;

/// Runs a job in front of its user.
final class JobRun {
    private JobRun() {}

    /// Runs it to its end, or until Ctrl-C.
    ///
    /// @param progress whether it is shown in a terminal
    static void run(Job job, boolean progress) throws BlockException {
        try (Interruption interruption = Interruption.awaited()) {
            interruption.stops(
                    () -> job.cancel(new BlockException(Kind.GONE, "it was interrupted")));
            try (TerminalProgress telling =
                    TerminalProgress.start(progress, job::doneBytes, job.totalBytes())) {
                job.run();
                telling.complete();
            }
        }
    }
}
