package dev.lockstep.qmp;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;

import dev.lockstep.nbd.Address;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

@Timeout(60)
class QmpServerTest {
    private static final Instant NOW = Instant.ofEpochSecond(1_700_000_000L, 123_456_789);

    @TempDir Path folder;
    private final CountDownLatch slowMayEnd = new CountDownLatch(1);
    private QmpServer server;
    private Address address;

    @BeforeEach
    void start() throws IOException {
        server = new QmpServer(new QmpServer.Version(1, 2, 3), () -> NOW);
        server.register(
                "echo",
                List.of(
                        Parameter.required("text", Parameter.Type.STRING),
                        Parameter.optional("times", Parameter.Type.INTEGER),
                        Parameter.optional("loud", Parameter.Type.BOOLEAN)),
                (arguments, _) -> arguments.json());
        server.register(
                "slow",
                List.of(),
                (_, _) -> {
                    slowMayEnd.await();
                    return Json.object();
                });
        server.register(
                "big",
                List.of(),
                (_, _) -> Json.object().put("text", "x".repeat(Outbox.QUEUED_BYTES_MAX / 4)));
        server.register(
                "fail",
                List.of(),
                (_, _) -> {
                    throw new QmpException(ErrorClass.DEVICE_NOT_FOUND, "no such disk");
                });
        server.register(
                "bug",
                List.of(),
                (_, _) -> {
                    throw new IllegalStateException("oops");
                });
        address = server.listen(new Address.Unix(folder.resolve("mon")));
    }

    @AfterEach
    void stop() {
        slowMayEnd.countDown();
        server.close();
    }

    @Test
    void it_greets_with_its_version_and_capabilities() throws IOException {
        try (RawClient client = new RawClient(address)) {
            assertEquals(
                    "{\"QMP\":{\"version\":{\"qemu\":{\"major\":1,\"minor\":2,\"micro\":3},"
                            + "\"package\":\"lockstep\"},\"capabilities\":[]}}",
                    client.greeting.toString());
        }
    }

    @Test
    void before_the_negotiation_every_other_command_is_unknown() throws IOException {
        try (RawClient client = new RawClient(address)) {
            assertTrue(client.refusal("{'execute':'echo'}").startsWith("CommandNotFound: "));
            assertTrue(
                    client.refusal("{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}")
                            .startsWith("GenericError: "));
            server.event("LOST", Json.object());
            assertEquals(
                    "{\"return\":{}}", client.ask("{'execute':'qmp_capabilities'}").toString());
            assertTrue(
                    client.refusal("{'execute':'qmp_capabilities'}")
                            .startsWith("CommandNotFound: "));
        }
    }

    @Test
    void the_id_comes_back_whatever_it_is_and_also_with_an_error() throws IOException {
        try (RawClient client = RawClient.negotiated(address)) {
            for (String id : List.of("7", "\"a\"", "null", "[1,{\"b\":2}]", "1.5")) {
                JsonNode reply = client.ask("{\"execute\":\"fail\",\"id\":%s}".formatted(id));
                assertEquals(id, reply.get("id").toString());
                assertEquals("DeviceNotFound", reply.at("/error/class").asText());
            }
        }
    }

    @Test
    void a_wrong_request_is_refused_before_the_command_runs() throws IOException {
        try (RawClient client = RawClient.negotiated(address)) {
            assertEquals("GenericError: QMP input must be a JSON object", client.refusal("[1, 2]"));
            assertEquals("GenericError: QMP input must be a JSON object", client.refusal("42 "));
            assertEquals(
                    "GenericError: QMP input lacks member 'execute'", client.refusal("{'id':1}"));
            assertEquals(
                    "GenericError: QMP input member 'execute' must be a string",
                    client.refusal("{'execute': 1}"));
            assertEquals(
                    "GenericError: QMP input member 'arguments' must be an object",
                    client.refusal("{'execute':'echo','arguments':[]}"));
            assertEquals(
                    "GenericError: QMP input member 'exec-oob' is unexpected",
                    client.refusal("{'exec-oob':'echo'}"));
            assertEquals(
                    "CommandNotFound: The command nonsense has not been found",
                    client.refusal("{'execute':'nonsense'}"));
            assertEquals(
                    "GenericError: Parameter 'text' is missing",
                    client.refusal("{'execute':'echo'}"));
            assertEquals(
                    "GenericError: Parameter 'x' is unexpected",
                    client.refusal("{'execute':'echo','arguments':{'text':'a','x':1}}"));
            assertEquals(
                    "GenericError: Invalid parameter type for 'text', expected: string",
                    client.refusal("{'execute':'echo','arguments':{'text':1}}"));
            assertEquals(
                    "GenericError: Invalid parameter type for 'times', expected: integer",
                    client.refusal("{'execute':'echo','arguments':{'text':'a','times':1.5}}"));
            assertEquals(
                    "GenericError: Invalid parameter type for 'loud', expected: boolean",
                    client.refusal("{'execute':'echo','arguments':{'text':'a','loud':null}}"));
        }
    }

    @Test
    void garbage_is_answered_and_a_control_character_starts_anew() throws IOException {
        try (RawClient client = RawClient.negotiated(address)) {
            assertTrue(client.refusal("{ \"execute\": }").startsWith("GenericError: JSON parse"));
            assertTrue(client.refusal("{'a': @ 1 }\n").startsWith("GenericError: JSON parse"));
            assertTrue(client.refusal("]]]]]]]]]]]\n").startsWith("GenericError: JSON parse"));
            assertTrue(client.refusal("{'a': 1, 'a': 2}").startsWith("GenericError: JSON parse"));
            assertTrue(client.refusal("garbage ").startsWith("GenericError: JSON parse"));
            assertTrue(client.refusal("{'open': \"no end\n").startsWith("GenericError: JSON"));
            client.send("{'open': [[[ 'no end");
            assertTrue(client.refusal("\u0001").startsWith("GenericError: JSON parse"));
            client.send("{'open': [[[ 'no end");
            client.send(new byte[] {(byte) 0xff});
            assertEquals("GenericError", client.next().at("/error/class").asText());
            assertEchoes(client);
        }
    }

    @Test
    void deep_nesting_is_refused_without_harm() throws IOException {
        try (RawClient client = RawClient.negotiated(address)) {
            assertTrue(client.refusal("[".repeat(100_000) + "\n").contains("nested deeper"));
            assertEchoes(client);
        }
    }

    @Test
    void a_command_longer_than_the_limit_ends_the_connection() throws IOException {
        try (RawClient client = RawClient.negotiated(address)) {
            byte[] quote = "{'execute': '".getBytes(StandardCharsets.US_ASCII);
            client.send(quote);
            byte[] block = "x".repeat(64 << 10).getBytes(StandardCharsets.US_ASCII);
            assertThrows(
                    IOException.class,
                    () -> {
                        for (int sent = 0; sent < 64; sent++) {
                            client.send(block);
                        }
                        client.next();
                        client.next();
                    });
        }
    }

    @Test
    void commands_are_found_however_they_are_cut() throws IOException {
        long seed = Long.getLong("LOCKSTEP_SEED", System.nanoTime());
        System.out.println("LOCKSTEP_SEED=" + seed);
        Random random = new Random(seed);
        try (RawClient client = RawClient.negotiated(address)) {
            StringBuilder stream = new StringBuilder();
            int count = 200;
            for (int number = 0; number < count; number++) {
                stream.append(
                        "{\"execute\":\"echo\",\"arguments\":{\"text\":\"\\\"}{[\u00e4\u20ac%d\"},\"id\":%d}"
                                .formatted(number, number));
                stream.append(random.nextBoolean() ? "" : "\r\n ");
            }
            byte[] bytes = stream.toString().getBytes(StandardCharsets.UTF_8);
            int at = 0;
            while (at < bytes.length) {
                int length = Math.min(bytes.length - at, 1 + random.nextInt(100));
                client.send(Arrays.copyOfRange(bytes, at, at + length));
                at += length;
            }
            for (int number = 0; number < count; number++) {
                JsonNode reply = client.next();
                assertEquals(number, reply.get("id").asInt());
                assertEquals("\"}{[\u00e4\u20ac" + number, reply.at("/return/text").textValue());
            }
        }
    }

    @Test
    void a_slow_command_delays_nobody_else() throws IOException {
        try (RawClient slow = RawClient.negotiated(address);
                RawClient fast = RawClient.negotiated(address)) {
            slow.send("{'execute':'slow','id':1}{'execute':'echo','arguments':{'text':'b'}}");
            for (int round = 0; round < 100; round++) {
                assertEchoes(fast);
            }
            slowMayEnd.countDown();
            assertEquals(1, slow.next().get("id").asInt());
            assertEquals("b", slow.next().at("/return/text").asText());
        }
    }

    @Test
    void a_bug_in_a_command_is_an_error_reply() throws IOException {
        try (RawClient client = RawClient.negotiated(address)) {
            assertTrue(client.refusal("{'execute':'bug'}").contains("oops"));
            assertEchoes(client);
        }
    }

    @Test
    void events_carry_their_time_and_reach_every_client() throws IOException {
        try (RawClient one = RawClient.negotiated(address);
                RawClient two = RawClient.negotiated(address)) {
            server.event("THING", Json.object().put("n", 1));
            server.event("BARE", Json.object());
            for (RawClient client : List.of(one, two)) {
                assertEquals(
                        "{\"timestamp\":{\"seconds\":1700000000,\"microseconds\":123456},"
                                + "\"event\":\"THING\",\"data\":{\"n\":1}}",
                        client.next().toString());
                assertFalse(client.next().has("data"));
            }
        }
    }

    @Test
    void similar_events_come_once_a_second_and_the_last_one_is_kept() throws IOException {
        EventLimiter limiter = new EventLimiter(server);
        try (RawClient client = RawClient.negotiated(address)) {
            for (int number = 0; number < 10; number++) {
                limiter.send("BAD", "node0", Json.object().put("n", number));
            }
            limiter.send("BAD", "node1", Json.object().put("n", 100));
            assertEquals(0, client.next().at("/data/n").asInt());
            assertEquals(100, client.next().at("/data/n").asInt());
            assertEquals(9, client.next().at("/data/n").asInt());
        }
    }

    @Test
    void a_client_that_reads_no_events_is_dropped_and_the_others_are_not() throws IOException {
        try (RawClient deaf = RawClient.negotiated(address);
                RawClient client = RawClient.negotiated(address)) {
            String text = "y".repeat(32 << 10);
            for (int number = 0; number < 100; number++) {
                server.event("NOISE", Json.object().put("text", text));
                client.next();
            }
            await().until(() -> server.connectionCount() == 1);
            assertEchoes(client);
            assertTrue(deaf.channel.isOpen());
        }
    }

    @Test
    void a_client_that_reads_no_replies_is_not_read_either_until_it_is_dropped()
            throws IOException {
        try (RawClient deaf = RawClient.negotiated(address);
                RawClient client = RawClient.negotiated(address)) {
            for (int number = 0; number < 20; number++) {
                deaf.send("{'execute':'big'}");
            }
            assertEchoes(client);
            await().atMost(30, TimeUnit.SECONDS).until(() -> server.connectionCount() == 1);
        }
    }

    @Test
    void more_clients_than_the_limit_are_hung_up_on() throws IOException {
        List<RawClient> clients = new ArrayList<>();
        try {
            for (int number = 0; number < QmpServer.CONNECTIONS_MAX; number++) {
                clients.add(RawClient.negotiated(address));
            }
            assertThrows(IOException.class, () -> new RawClient(address));
            clients.removeLast().close();
            await().until(() -> server.connectionCount() < QmpServer.CONNECTIONS_MAX);
            clients.add(RawClient.negotiated(address));
        } finally {
            for (RawClient client : clients) {
                client.close();
            }
        }
    }

    @Test
    void connections_that_say_nothing_keep_nobody_out() throws IOException {
        List<RawClient> silent = new ArrayList<>();
        try (RawClient first = RawClient.negotiated(address)) {
            for (int number = 0; number < 3 * QmpServer.CONNECTIONS_MAX; number++) {
                silent.add(new RawClient(address));
            }
            assertEchoes(first);
            try (RawClient late = RawClient.negotiated(address)) {
                assertEchoes(late);
            }
            assertTrue(server.connectionCount() <= QmpServer.CONNECTIONS_MAX);
        } finally {
            for (RawClient client : silent) {
                client.close();
            }
        }
    }

    @Test
    void it_listens_where_a_killed_server_left_its_socket_but_not_on_a_living_one()
            throws IOException {
        Path leftover = folder.resolve("left");
        Address.Unix place = new Address.Unix(leftover);
        place.openServerSocket().bind(place.socketAddress()).close();
        assertTrue(Files.exists(leftover));
        server.listen(place);
        try (RawClient client = RawClient.negotiated(place)) {
            assertEchoes(client);
        }
        IOException taken = assertThrows(IOException.class, () -> server.listen(place));
        assertTrue(taken.toString().contains("another process listens there"), taken::toString);
        server.close();
        assertFalse(Files.exists(leftover));
    }

    @Test
    void it_serves_tcp_beside_a_unix_socket() throws IOException {
        Address tcp = server.listen(Address.parse("127.0.0.1:0"));
        try (RawClient client = RawClient.negotiated(tcp)) {
            assertEchoes(client);
            List<String> names = new ArrayList<>();
            client.ask("{'execute':'query-commands'}")
                    .get("return")
                    .forEach(entry -> names.add(entry.get("name").asText()));
            assertEquals(
                    List.of(
                            "big",
                            "bug",
                            "echo",
                            "fail",
                            "qmp_capabilities",
                            "query-commands",
                            "query-version",
                            "slow"),
                    names);
            assertEquals(
                    "lockstep",
                    client.ask("{'execute':'query-version'}").at("/return/package").asText());
        }
    }

    private static void assertEchoes(RawClient client) throws IOException {
        JsonNode reply =
                client.ask("{\"execute\": 'echo', 'arguments': {'text': 'it\\'s'}, 'id': 5}\n");
        assertEquals("{\"return\":{\"text\":\"it's\"},\"id\":5}", reply.toString());
    }
}
