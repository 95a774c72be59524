package dev.lockstep.cli;

import dev.lockstep.qmp.Json;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep colo checkpoint`.
@Command(
        name = "checkpoint",
        description = {
            "Make both sides hold the same point in time.",
            "",
            "Once this has succeeded, the checkpoint is durable on both sides: a failover to it loses"
                    + " nothing that was written before. The primary's guest pauses for some"
                    + " milliseconds plus the time its disks take to flush. If it fails, the secondary"
                    + " holds the checkpoint before; or this one, if it was lost before it could"
                    + " answer.",
            "",
            "Ask the primary. In a running pair the secondary refuses; a secondary without a primary"
                    + " drops what its own guest wrote since the last checkpoint."
        },
        footer = {"", "Example:", "  lockstep colo checkpoint --monitor unix:/run/vm1.mon"})
final class CheckpointCommand implements Callable<Integer> {
    @Mixin private MonitorOption monitor = new MonitorOption();

    @Override
    public Integer call() throws IOException, InterruptedException {
        long epoch = monitor.execute("colo-checkpoint-now", Json.object()).path("epoch").asLong();
        System.out.printf("checkpoint %d is durable%n", epoch);
        return 0;
    }
}
