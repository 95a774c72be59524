package dev.lockstep.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.colo.machine.FailoverTo;
import dev.lockstep.qmp.Json;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.Locale;
import java.util.concurrent.Callable;

/// `lockstep colo failover`.
@Command(
        name = "failover",
        description = {
            "Promote the secondary: it becomes the primary and goes on alone.",
            "",
            "This is your statement that the old primary is fenced and will never again write for its"
                    + " guest: two nodes cannot find that out by themselves. The secondary's guest is"
                    + " not interrupted, and what it was told is written stays so. The command returns"
                    + " when the promotion is durable; the buffers are then committed to the disk"
                    + " behind the running guest, and `colo status` says when that is done.",
            "",
            "It is refused, unless forced, if the secondary was told that it is stale, was never in"
                    + " sync, was restarted in the middle of a session, or still hears its primary."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep colo failover --monitor 127.0.0.1:4444",
            "  lockstep colo failover --to latest --monitor 127.0.0.1:4444"
        })
final class FailoverCommand implements Callable<Integer> {
    @Mixin private MonitorOption monitor = new MonitorOption();

    @Option(
            names = "--to",
            paramLabel = "checkpoint|latest",
            defaultValue = "checkpoint",
            description =
                    "checkpoint (the default): the last checkpoint plus what this side's guest wrote"
                            + " since; drops every later write of the primary. latest: every write"
                            + " that the primary acknowledged; refused unless forced if this side's"
                            + " guest has written since the checkpoint.")
    private FailoverTo to = FailoverTo.CHECKPOINT;

    @Option(
            names = "--force",
            description = "Promote in spite of the reasons against it. Data may be lost.")
    private boolean force;

    @Override
    public Integer call() throws IOException, InterruptedException {
        ObjectNode arguments =
                Json.object().put("to", to.name().toLowerCase(Locale.ROOT)).put("force", force);
        JsonNode outcome = monitor.execute("colo-failover", arguments);
        System.out.printf(
                "failed over to the %s: %d bytes of the primary's writes are dropped%n",
                to == FailoverTo.LATEST ? "latest write" : "checkpoint",
                outcome.path("droppedBytes").asLong());
        long lastHeardMs = outcome.path("lastHeardMs").asLong(-1);
        if (lastHeardMs >= 0) {
            System.out.printf("the old primary was last heard %d ms ago%n", lastHeardMs);
        }
        return 0;
    }
}
