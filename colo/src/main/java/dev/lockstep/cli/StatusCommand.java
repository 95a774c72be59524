package dev.lockstep.cli;

import com.fasterxml.jackson.databind.JsonNode;

import dev.lockstep.colo.machine.State;
import dev.lockstep.qmp.Json;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;

/// `lockstep colo status`.
@Command(
        name = "status",
        description = {
            "Show what a side is, what it is doing, and what it holds.",
            "",
            "With --json one object, with at least role, state (waiting, syncing, running, degraded,"
                    + " failing-over, stale, inconsistent, failed), epoch, generation, inSync,"
                    + " holdsWrites, bufferedBytes and peer (address, connected, lastHeardMs; or"
                    + " null)."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep colo status --monitor unix:/run/vm1.mon",
            "  lockstep colo status --json --monitor 127.0.0.1:4444 | jq -r .state"
        })
final class StatusCommand implements Callable<Integer> {
    private static final double PERCENT = 100;

    @Mixin private MonitorOption monitor = new MonitorOption();

    @Option(names = "--json", description = "Print one JSON object, for programs.")
    private boolean json;

    @Override
    public Integer call() throws IOException, InterruptedException {
        JsonNode status = monitor.execute("colo-status", Json.object());
        System.out.println(json ? Json.text(status) : forPeople(status));
        return 0;
    }

    static String forPeople(JsonNode status) {
        StringBuilder text = new StringBuilder();
        String state = status.path("state").asText();
        text.append(
                "%s: %s, %s: it %s%n"
                        .formatted(
                                status.path("name").asText(),
                                status.path("role").asText(),
                                state,
                                sentence(status)));
        line(text, "epoch", status.path("epoch").asText());
        line(text, "generation", status.path("generation").asText("none"));
        line(text, "in sync", status.path("inSync").asBoolean() ? "yes" : "no");
        if (status.path("role").asText().equals("secondary")) {
            line(
                    text,
                    "buffered",
                    "%d bytes (%s), of which a failover to the checkpoint drops %d of the primary's"
                            .formatted(
                                    status.path("bufferedBytes").asLong(),
                                    status.path("buffers").asText(),
                                    status.path("droppedBytes").asLong()));
        }
        line(text, "peer", peer(status.path("peer")));
        JsonNode sync = status.path("sync");
        if (sync.isObject()) {
            long total = Math.max(1, sync.path("totalBytes").asLong());
            long copied = sync.path("copiedBytes").asLong();
            line(
                    text,
                    "copied",
                    "%d of %d bytes (%.0f %%)".formatted(copied, total, PERCENT * copied / total));
        }
        if (status.path("error").isTextual()) {
            line(text, "error", status.path("error").asText());
        }
        for (String address : List.of("export", "listen", "monitor")) {
            if (status.path(address).isTextual()) {
                line(text, address, status.path(address).asText());
            }
        }
        return text.toString().stripTrailing();
    }

    private static void line(StringBuilder text, String what, String value) {
        text.append("  %-11s %s%n".formatted(what, value));
    }

    private static String peer(JsonNode peer) {
        if (!peer.isObject()) {
            return "none";
        }
        JsonNode lastHeardMs = peer.path("lastHeardMs");
        return "%s, %s, %s"
                .formatted(
                        peer.path("address").asText(),
                        peer.path("connected").asBoolean() ? "connected" : "not connected",
                        lastHeardMs.isNumber()
                                ? "last heard " + lastHeardMs.asLong() + " ms ago"
                                : "never heard");
    }

    private static String sentence(JsonNode status) {
        String label = status.path("state").asText();
        if (label.equals(State.DEGRADED.label())) {
            return status.path("role").asText().equals("secondary")
                    ? "keeps its copy, and does not hear its primary"
                    : status.path("holdsWrites").asBoolean()
                            ? "holds its guest's writes until there is a peer again"
                            : "goes on without its peer";
        }
        return Arrays.stream(State.values())
                .filter(state -> state.label().equals(label))
                .map(State::sentence)
                .findFirst()
                .orElse("is in a state that this client does not know");
    }
}
