package dev.lockstep.cli;

import picocli.CommandLine.Command;

import java.util.concurrent.Callable;

/// Everything about a replicated pair.
@Command(
        name = "colo",
        description = "Run the two sides of a replicated pair, and drive them.",
        subcommands = {
            SecondaryCommand.class,
            PrimaryCommand.class,
            CheckpointCommand.class,
            FailoverCommand.class,
            StatusCommand.class,
            ResyncCommand.class
        },
        footer = {
            "",
            "A pair by hand. On the host that stands by:",
            "  lockstep colo secondary --name vm1 --disk S.raw --buffers ram \\",
            "      --listen 127.0.0.1:10809 --export unix:/tmp/s.sock --monitor 127.0.0.1:4444",
            "on the host that runs the guest:",
            "  lockstep colo primary --name vm1 --disk P.raw --sync full \\",
            "      --secondary nbd://127.0.0.1:10809/vm1 --secondary-monitor 127.0.0.1:4444 \\",
            "      --export unix:/tmp/p.sock --monitor unix:/tmp/p.mon",
            "then:",
            "  lockstep colo checkpoint --monitor unix:/tmp/p.mon",
            "  lockstep colo status --monitor 127.0.0.1:4444",
            "  lockstep colo failover --monitor 127.0.0.1:4444",
            "",
            "What is promised: a flush acknowledged to the primary's guest is on both disks. A checkpoint",
            "makes one point in time that a failover can go back to. A copy that knows it is behind is",
            "never promoted unless forced. Two nodes cannot know which of them is dead: the failover is",
            "your statement that the primary will not write any more."
        })
final class ColoCommand implements Callable<Integer> {

    @Override
    public Integer call() {
        throw new UsageError(
                "say what to do: secondary, primary, checkpoint, failover, status or resync");
    }
}
