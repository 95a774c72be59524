package dev.lockstep.colo;

import static dev.lockstep.qmp.Parameter.Type.BOOLEAN;
import static dev.lockstep.qmp.Parameter.Type.STRING;
import static dev.lockstep.qmp.Parameter.optional;
import static dev.lockstep.qmp.Parameter.required;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.colo.machine.FailoverTo;
import dev.lockstep.colo.machine.Role;
import dev.lockstep.colo.machine.State;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.qmp.Arguments;
import dev.lockstep.qmp.EventLimiter;
import dev.lockstep.qmp.Json;
import dev.lockstep.qmp.QmpException;
import dev.lockstep.qmp.QmpServer;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;

/// A side's commands and events on its QMP monitor.
///
/// QEMU's names where it has the thing (`xen-*` and `x-colo-lost-heartbeat` drive its block
/// replication), `colo-*` for what it lacks:
///
/// | command | what it does here |
/// |---|---|
/// | `query-xen-replication-status` | the error of failure cases 2, 3, 4 and 6 |
/// | `xen-colo-do-checkpoint` | a checkpoint |
/// | `xen-set-replication` | `enable: false` with `failover` promotes, without it stops replication
/// |
/// | `x-colo-lost-heartbeat` | secondary: fail over to the checkpoint; primary: go on alone |
/// | `colo-status` | [Status] |
/// | `colo-checkpoint-now` | a checkpoint; answers the epoch |
/// | `colo-last-pause` | [Side.Pause] of the last checkpoint |
/// | `colo-failover` | `to`, `force`; answers what it dropped |
/// | `colo-resync` | `secondary`, `secondary-monitor`, `force` |
public final class ColoMonitor {
    /// NBD has no sectors; QEMU's events count in these.
    private static final int SECTOR_BYTES = 512;

    /// What a quorum was doing, in the words of the schema.
    public enum QuorumOperation {
        /// A read.
        READ,
        /// A write, zero or discard.
        WRITE,
        /// A flush.
        FLUSH
    }

    /// Why replication ended, in the words of the schema.
    public enum ExitReason {
        /// Somebody asked.
        REQUEST,
        /// Something broke.
        ERROR
    }

    private final QmpServer server;
    private final Supplier<Side> side;
    private final EventLimiter limiter;

    private ColoMonitor(QmpServer server, Supplier<Side> side) {
        this.server = server;
        this.side = side;
        this.limiter = new EventLimiter(server);
    }

    /// Registers a side's commands.
    ///
    /// @param side asked at each command, so that the monitor can listen before the side exists; it
    ///     may throw an unchecked exception until then
    public static ColoMonitor register(QmpServer server, Supplier<Side> side) {
        ColoMonitor monitor = new ColoMonitor(server, side);
        monitor.registerQueries();
        monitor.registerReplication();
        monitor.registerOwn();
        return monitor;
    }

    /// A child of a quorum (the pair is one) failed.
    ///
    /// @param error the reason, or null if it only disagreed
    public void quorumReportBad(
            QuorumOperation operation,
            @Nullable String error,
            String nodeName,
            long offset,
            long length) {
        ObjectNode data = Json.object().put("type", lower(operation));
        if (error != null) {
            data.put("error", error);
        }
        data.put("node-name", nodeName);
        limiter.send("QUORUM_REPORT_BAD", nodeName, withSectors(data, offset, length));
    }

    /// A request failed because too few children of a quorum did it.
    public void quorumFailure(String reference, long offset, long length) {
        ObjectNode data = Json.object().put("reference", reference);
        limiter.send("QUORUM_FAILURE", reference, withSectors(data, offset, length));
    }

    /// Replication ended on this side, which was of the given role until now.
    public void coloExit(Role role, ExitReason reason) {
        server.event(
                "COLO_EXIT", Json.object().put("mode", lower(role)).put("reason", lower(reason)));
    }

    /// The buffers hold so much of what they may that the manager should checkpoint now.
    public void buffersFilling(long bufferedBytes, long limitBytes) {
        server.event(
                "COLO_BUFFERS_FILLING",
                Json.object().put("buffered-bytes", bufferedBytes).put("limit-bytes", limitBytes));
    }

    private void registerQueries() {
        server.register(
                "query-status",
                List.of(),
                (_, _) -> {
                    boolean running = side.get().status().state() != State.FAILED;
                    return Json.object()
                            .put("running", running)
                            .put("singlestep", false)
                            .put("status", running ? "running" : "io-error");
                });
        server.register("query-block-exports", List.of(), (_, _) -> exports());
        server.register(
                "query-named-block-nodes",
                List.of(optional("flat", BOOLEAN)),
                (arguments, _) ->
                        new NodeList(side.get().nodes()).toJson(arguments.bool("flat", false)));
        server.register(
                "quit",
                List.of(),
                (_, _) -> {
                    side.get().quit();
                    return Json.object();
                });
    }

    private void registerReplication() {
        server.register("query-xen-replication-status", List.of(), (_, _) -> replicationStatus());
        server.register(
                "xen-set-replication",
                List.of(
                        required("enable", BOOLEAN),
                        required("primary", BOOLEAN),
                        optional("failover", BOOLEAN)),
                (arguments, _) -> setReplication(arguments));
        server.register(
                "xen-colo-do-checkpoint",
                List.of(),
                (_, _) -> {
                    long _ = side.get().checkpoint();
                    return Json.object();
                });
        server.register("x-colo-lost-heartbeat", List.of(), (_, _) -> lostHeartbeat());
    }

    private void registerOwn() {
        server.register("colo-status", List.of(), (_, _) -> side.get().status().toJson());
        server.register("colo-last-pause", List.of(), (_, _) -> Json.of(side.get().lastPause()));
        server.register(
                "colo-checkpoint-now",
                List.of(),
                (_, _) -> Json.object().put("epoch", side.get().checkpoint()));
        server.register(
                "colo-failover",
                List.of(optional("to", STRING), optional("force", BOOLEAN)),
                (arguments, _) -> failover(arguments));
        server.register(
                "colo-resync",
                List.of(
                        required("secondary", STRING),
                        required("secondary-monitor", STRING),
                        optional("force", BOOLEAN)),
                (arguments, _) -> resync(arguments));
    }

    private JsonNode replicationStatus() {
        String error = side.get().status().error();
        ObjectNode json = Json.object().put("error", error != null);
        return error == null ? json : json.put("desc", error);
    }

    private JsonNode setReplication(Arguments arguments) throws IOException, InterruptedException {
        Status status = side.get().status();
        boolean primary = status.role() == Role.PRIMARY;
        if (arguments.bool("primary") != primary) {
            throw new QmpException("this side is the " + status.roleLabel());
        }
        if (!arguments.bool("enable")) {
            stop(primary, arguments.bool("failover", false));
            return Json.object();
        }
        if (arguments.has("failover")) {
            throw new QmpException("Parameter 'failover' cannot be given where 'enable' is true");
        }
        Status.Peer peer = status.peer();
        if (primary && (peer == null || !peer.connected())) {
            throw new QmpException("there is no peer: colo-resync pairs this side with one");
        }
        return Json.object();
    }

    private void stop(boolean primary, boolean failover) throws IOException, InterruptedException {
        if (primary) {
            side.get().goAlone();
        } else if (failover) {
            side.get().failover(FailoverTo.CHECKPOINT, false);
        } else {
            throw new QmpException(
                    "a secondary follows until its primary leaves or it is failed over: say"
                            + " 'failover': true, or quit it");
        }
    }

    private JsonNode lostHeartbeat() throws IOException, InterruptedException {
        stop(side.get().status().role() == Role.PRIMARY, true);
        return Json.object();
    }

    private JsonNode failover(Arguments arguments) throws IOException, InterruptedException {
        String to = arguments.string("to", "checkpoint");
        FailoverTo target =
                switch (to) {
                    case "checkpoint" -> FailoverTo.CHECKPOINT;
                    case "latest" -> FailoverTo.LATEST;
                    default ->
                            throw new QmpException(
                                    "Parameter 'to' is 'checkpoint' or 'latest', not '%s'"
                                            .formatted(to));
                };
        return Json.of(side.get().failover(target, arguments.bool("force", false)));
    }

    private JsonNode resync(Arguments arguments) throws IOException, InterruptedException {
        NbdUri secondary;
        Address monitor;
        try {
            secondary = NbdUri.parse(arguments.string("secondary"));
            monitor = Address.parse(arguments.string("secondary-monitor"));
        } catch (IllegalArgumentException e) {
            throw new QmpException(String.valueOf(e.getMessage()));
        }
        side.get().resync(secondary, monitor, arguments.bool("force", false));
        return Json.object();
    }

    private JsonNode exports() {
        ArrayNode list = Json.array();
        for (Side.ExportInfo export : side.get().exports()) {
            list.addObject()
                    .put("id", export.id())
                    .put("type", "nbd")
                    .put("node-name", export.nodeName())
                    .put("shutting-down", export.shuttingDown());
        }
        return list;
    }

    /// Whole sectors that cover a range.
    private static ObjectNode withSectors(ObjectNode data, long offset, long length) {
        long first = offset / SECTOR_BYTES;
        long end = Math.ceilDiv(offset + length, (long) SECTOR_BYTES);
        return data.put("sector-num", first).put("sectors-count", end - first);
    }

    private static String lower(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT);
    }
}
