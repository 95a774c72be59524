package dev.lockstep.colo;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.file.CacheMode;
import dev.lockstep.colo.machine.FailoverTo;
import dev.lockstep.colo.machine.Role;
import dev.lockstep.colo.machine.State;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.qmp.Event;
import dev.lockstep.qmp.Json;
import dev.lockstep.qmp.QmpClient;
import dev.lockstep.qmp.QmpException;
import dev.lockstep.qmp.QmpServer;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

@Timeout(60)
class ColoMonitorTest {
    private static final Duration SOON = Duration.ofSeconds(10);

    @TempDir Path folder;
    private final Recorder side = new Recorder();
    private final List<Event> events = new CopyOnWriteArrayList<>();
    private QmpServer server;
    private ColoMonitor monitor;
    private QmpClient client;

    @BeforeEach
    void start() throws Exception {
        server = new QmpServer(Release.qmpVersion(), InstantSource.system());
        monitor = ColoMonitor.register(server, () -> side);
        Address address = server.listen(new Address.Unix(folder.resolve("mon")));
        client =
                QmpClient.connect(
                        address,
                        SOON,
                        new QmpClient.Listener() {
                            @Override
                            public void event(Event event) {
                                events.add(event);
                            }
                        });
    }

    @AfterEach
    void stop() {
        client.close();
        server.close();
    }

    @Test
    void the_status_has_every_promised_member() throws Exception {
        assertEquals(
                "{\"name\":\"vm1\",\"role\":\"secondary\",\"state\":\"failing-over\",\"epoch\":7,"
                        + "\"generation\":\"ab\",\"inSync\":true,\"holdsWrites\":false,\"bufferedBytes\":30,"
                        + "\"droppedBytes\":10,\"buffers\":\"durable\",\"peer\":{\"address\":\"127.0.0.1:1\","
                        + "\"connected\":true,\"lastHeardMs\":12},\"sync\":null,\"error\":null,"
                        + "\"export\":\"nbd://127.0.0.1:2/vm1\","
                        + "\"listen\":\"nbd://127.0.0.1:3/vm1\",\"monitor\":\"127.0.0.1:4\"}",
                run("colo-status", "{}"));
    }

    @Test
    void replication_errors_show_as_qemu_shows_them() throws Exception {
        assertEquals("{\"error\":false}", run("query-xen-replication-status", "{}"));
        side.error = "backup failed";
        assertEquals(
                "{\"error\":true,\"desc\":\"backup failed\"}",
                run("query-xen-replication-status", "{}"));
    }

    @Test
    void each_command_does_its_thing_to_the_side() throws Exception {
        run("xen-colo-do-checkpoint", "{}");
        assertEquals("{\"epoch\":8}", run("colo-checkpoint-now", "{}"));
        run("x-colo-lost-heartbeat", "{}");
        run("xen-set-replication", "{'enable':false,'primary':false,'failover':true}");
        assertEquals(
                "{\"droppedBytes\":4096,\"lastHeardMs\":5}",
                run("colo-failover", "{'to':'latest','force':true}"));
        run("colo-resync", "{'secondary':'nbd://h:1/vm1','secondary-monitor':'h:2','force':true}");
        side.role = Role.PRIMARY;
        run("x-colo-lost-heartbeat", "{}");
        run("xen-set-replication", "{'enable':false,'primary':true}");
        run("quit", "{}");
        assertEquals(
                List.of(
                        "checkpoint",
                        "checkpoint",
                        "failover CHECKPOINT false",
                        "failover CHECKPOINT false",
                        "failover LATEST true",
                        "resync nbd://h:1/vm1 h:2 true",
                        "go alone",
                        "go alone",
                        "quit"),
                side.calls);
    }

    @Test
    void what_makes_no_sense_is_refused() {
        for (String[] wrong :
                new String[][] {
                    {"xen-set-replication", "{'enable':false,'primary':true}"},
                    {"xen-set-replication", "{'enable':false,'primary':false}"},
                    {"xen-set-replication", "{'enable':true,'primary':false,'failover':true}"},
                    {"xen-set-replication", "{'primary':false}"},
                    {"colo-failover", "{'to':'yesterday'}"},
                    {"colo-resync", "{'secondary':'x','secondary-monitor':'h:2'}"}
                }) {
            assertThrows(QmpException.class, () -> run(wrong[0], wrong[1]), wrong[1]);
        }
        assertEquals(List.of(), side.calls);
    }

    @Test
    void exports_and_nodes_have_what_the_schema_requires() throws Exception {
        assertEquals(
                "[{\"id\":\"vm1\",\"type\":\"nbd\",\"node-name\":\"disk\",\"shutting-down\":false}]",
                run("query-block-exports", "{}"));
        JsonNode nodes = Json.parse(run("query-named-block-nodes", "{}"));
        JsonNode active = nodes.get(0);
        assertEquals("/d.raw", active.path("backing_file").asText());
        assertEquals(1, active.path("backing_file_depth").asInt());
        assertTrue(active.path("cache").path("no-flush").asBoolean());
        assertEquals(
                nodes.get(1).path("image"),
                active.path("image").path("backing-image"),
                nodes::toString);
        JsonNode disk = nodes.get(1);
        assertEquals(1 << 20, disk.path("image").path("virtual-size").asInt());
        assertEquals(0, disk.path("backing_file_depth").asInt());
        assertFalse(disk.has("backing_file"));
        assertFalse(disk.path("cache").path("no-flush").asBoolean());
        String flat = run("query-named-block-nodes", "{'flat':true}");
        assertFalse(flat.contains("backing-image"), flat);
        assertEquals(
                "{\"totalMicros\":3,\"drainMicros\":2,\"flushMicros\":1}",
                run("colo-last-pause", "{}"));
        assertEquals(
                "{\"running\":true,\"singlestep\":false,\"status\":\"running\"}",
                run("query-status", "{}"));
    }

    @Test
    void events_have_the_fields_of_the_schema() {
        monitor.quorumReportBad(ColoMonitor.QuorumOperation.WRITE, "gone", "children.1", 1000, 100);
        monitor.quorumFailure("vm1", 0, 4096);
        monitor.coloExit(Role.PRIMARY, ColoMonitor.ExitReason.ERROR);
        await().until(() -> events.size() == 3);
        assertEquals(
                "{\"type\":\"write\",\"error\":\"gone\",\"node-name\":\"children.1\","
                        + "\"sector-num\":1,\"sectors-count\":2}",
                events.get(0).data().toString());
        assertEquals(
                "{\"reference\":\"vm1\",\"sector-num\":0,\"sectors-count\":8}",
                events.get(1).data().toString());
        assertEquals(
                "{\"mode\":\"primary\",\"reason\":\"error\"}", events.get(2).data().toString());
    }

    private String run(String command, String arguments) throws Exception {
        ObjectNode parsed = (ObjectNode) Json.parse(arguments);
        return client.execute(command, parsed, SOON).toString();
    }

    /// A side that writes down what it is asked.
    private static final class Recorder implements Side {
        private final List<String> calls = new CopyOnWriteArrayList<>();
        private volatile Role role = Role.SECONDARY;
        private volatile @Nullable String error;

        @Override
        public Status status() {
            return new Status(
                    "vm1",
                    role,
                    State.FAILING_OVER,
                    7,
                    "ab",
                    true,
                    false,
                    30,
                    10,
                    "durable",
                    new Status.Peer("127.0.0.1:1", true, 12L),
                    null,
                    error,
                    guestExport().format(),
                    "nbd://127.0.0.1:3/vm1",
                    "127.0.0.1:4");
        }

        @Override
        public long checkpoint() {
            calls.add("checkpoint");
            return 8;
        }

        @Override
        public FailoverOutcome failover(FailoverTo to, boolean force) {
            calls.add("failover " + to + " " + force);
            return new FailoverOutcome(4096, 5L);
        }

        @Override
        public void resync(NbdUri secondary, Address secondaryMonitor, boolean force) {
            calls.add("resync " + secondary.format() + " " + secondaryMonitor + " " + force);
        }

        @Override
        public void goAlone() {
            calls.add("go alone");
        }

        @Override
        public List<ExportInfo> exports() {
            return List.of(new ExportInfo("vm1", "disk", false));
        }

        @Override
        public List<NodeInfo> nodes() {
            return List.of(
                    new NodeInfo("active", "replication", "ram", 1 << 20, CacheMode.UNSAFE, "disk"),
                    new NodeInfo("disk", "raw", "/d.raw", 1 << 20, CacheMode.WRITEBACK, null));
        }

        @Override
        public Pause lastPause() {
            return new Pause(3, 2, 1);
        }

        @Override
        public NbdUri guestExport() {
            return NbdUri.parse("nbd://127.0.0.1:2/vm1");
        }

        @Override
        public void quit() {
            calls.add("quit");
        }

        @Override
        public void awaitQuit() throws IOException {}

        @Override
        public void close() {}
    }
}
