package dev.lockstep.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.qmp.Json;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep colo resync`.
@Command(
        name = "resync",
        description = {
            "Pair a running side that lost its peer, or was promoted, with a new secondary.",
            "",
            "The disk is copied over in full while the guest runs; the command returns once the copy"
                    + " has begun, and `colo status` shows how far it is. The checkpoint that ends it"
                    + " makes the new secondary one that can be promoted; until then it is not."
        },
        footer = {
            "",
            "Example:",
            "  lockstep colo resync --secondary nbd://hostc:10809/vm1 --secondary-monitor hostc:4444 \\",
            "      --monitor unix:/run/vm1.mon"
        })
final class ResyncCommand implements Callable<Integer> {
    @Mixin private MonitorOption monitor = new MonitorOption();

    @Mixin private PeerOptions peer = new PeerOptions();

    @Option(
            names = "--force",
            description = "Overwrite even a secondary that was promoted or is newer.")
    private boolean force;

    @Override
    public Integer call() throws IOException, InterruptedException {
        ObjectNode arguments =
                Json.object()
                        .put("secondary", peer.secondary.format())
                        .put("secondary-monitor", peer.monitor.toString())
                        .put("force", force);
        monitor.execute("colo-resync", arguments);
        System.out.println("the copy to " + peer.secondary.format() + " has begun");
        return 0;
    }
}
