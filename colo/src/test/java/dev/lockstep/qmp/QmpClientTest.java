package dev.lockstep.qmp;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.nbd.Address;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

@Timeout(60)
class QmpClientTest {
    private static final Duration SOON = Duration.ofSeconds(10);

    @TempDir Path folder;
    private final CountDownLatch mayEnd = new CountDownLatch(1);
    private final AtomicInteger gone = new AtomicInteger();
    private final List<Event> events = new CopyOnWriteArrayList<>();
    private final List<IOException> losses = new CopyOnWriteArrayList<>();
    private QmpServer server;
    private Address address;

    private final QmpClient.Listener listener =
            new QmpClient.Listener() {
                @Override
                public void event(Event event) {
                    events.add(event);
                }

                @Override
                public void lost(IOException cause) {
                    losses.add(cause);
                }
            };

    @BeforeEach
    void start() throws IOException {
        server = new QmpServer(new QmpServer.Version(1, 2, 3), InstantSource.system());
        server.register(
                "twice",
                List.of(Parameter.required("n", Parameter.Type.INTEGER)),
                (arguments, caller) -> {
                    caller.whenGone(gone::incrementAndGet);
                    return Json.object().put("n", 2 * arguments.integer("n"));
                });
        server.register(
                "slow",
                List.of(),
                (_, _) -> {
                    mayEnd.await();
                    return Json.object();
                });
        server.register(
                "hang-up",
                List.of(),
                (_, caller) -> {
                    caller.disconnect();
                    return Json.object();
                });
        address = server.listen(new Address.Unix(folder.resolve("mon")));
    }

    @AfterEach
    void stop() {
        mayEnd.countDown();
        server.close();
    }

    @Test
    void many_threads_get_each_its_own_reply() throws Exception {
        try (QmpClient client = QmpClient.connect(address, SOON, listener)) {
            List<Thread> threads = new ArrayList<>();
            AtomicInteger right = new AtomicInteger();
            for (int number = 0; number < 200; number++) {
                int n = number;
                threads.add(
                        Thread.ofVirtual()
                                .start(
                                        () -> {
                                            if (twice(client, n) == 2L * n) {
                                                right.incrementAndGet();
                                            }
                                        }));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            assertEquals(200, right.get());
        }
        assertEquals(List.of(), losses);
        await().untilAsserted(() -> assertEquals(200, gone.get()));
    }

    @Test
    void an_error_reply_has_its_class_and_the_connection_goes_on() throws Exception {
        try (QmpClient client = QmpClient.connect(address, SOON, listener)) {
            QmpException unknown =
                    assertThrows(
                            QmpException.class,
                            () -> client.execute("nothing", Json.object(), SOON));
            assertEquals(ErrorClass.COMMAND_NOT_FOUND, unknown.errorClass());
            assertEquals(8, twice(client, 4));
        }
    }

    @Test
    void a_late_reply_times_out_and_is_dropped() throws Exception {
        try (QmpClient client = QmpClient.connect(address, SOON, listener)) {
            assertThrows(
                    SocketTimeoutException.class,
                    () -> client.execute("slow", Json.object(), Duration.ofMillis(50)));
            mayEnd.countDown();
            assertEquals(6, twice(client, 3));
        }
    }

    @Test
    void events_arrive_in_order() throws Exception {
        try (QmpClient client = QmpClient.connect(address, SOON, listener)) {
            for (int number = 0; number < 50; number++) {
                server.event("E", Json.object().put("n", number));
            }
            await().until(() -> events.size() == 50);
            for (int number = 0; number < 50; number++) {
                assertEquals(number, events.get(number).data().get("n").asInt());
            }
            assertTrue(client.isOpen());
        }
    }

    @Test
    void the_loss_of_the_connection_is_told_at_once_to_the_listener_and_to_who_waits()
            throws Exception {
        QmpClient client = QmpClient.connect(address, SOON, listener);
        IOException lost =
                assertThrows(
                        IOException.class,
                        () -> client.execute("hang-up", Json.object(), Duration.ofMinutes(5)));
        assertTrue(lost.toString().contains("was lost"), lost::toString);
        await().until(() -> losses.size() == 1);
        assertFalse(client.isOpen());
        assertThrows(IOException.class, () -> client.execute("slow", Json.object(), SOON));
        client.close();
        assertEquals(1, losses.size());
    }

    @Test
    void closing_fails_the_calls_that_wait_and_tells_no_loss() throws Exception {
        QmpClient client = QmpClient.connect(address, SOON, listener);
        CountDownLatch failed = new CountDownLatch(1);
        Thread.ofVirtual()
                .start(
                        () -> {
                            assertThrows(
                                    IOException.class,
                                    () -> client.execute("slow", Json.object(), SOON));
                            failed.countDown();
                        });
        assertEquals(2, twice(QmpClient.connect(address, SOON, listener), 1));
        client.close();
        failed.await();
        assertEquals(List.of(), losses);
    }

    @Test
    void what_does_not_greet_as_a_monitor_is_refused() throws Exception {
        Address.Unix place = new Address.Unix(folder.resolve("other"));
        try (ServerSocketChannel other = place.openServerSocket()) {
            other.bind(place.socketAddress());
            Thread.ofVirtual().start(() -> greet(other, "{\"hello\": 1}\r\n"));
            IOException refused =
                    assertThrows(IOException.class, () -> QmpClient.connect(place, SOON, listener));
            assertTrue(refused.toString().contains("does not greet"), refused::toString);
            Thread.ofVirtual().start(() -> greet(other, "220 mail\r\n"));
            refused =
                    assertThrows(IOException.class, () -> QmpClient.connect(place, SOON, listener));
            assertTrue(refused.toString().contains("no JSON"), refused::toString);
            Thread.ofVirtual().start(() -> greet(other, "NBDMAGIC\0\0"));
            refused =
                    assertThrows(IOException.class, () -> QmpClient.connect(place, SOON, listener));
            assertTrue(refused.toString().contains("no monitor"), refused::toString);
        }
    }

    @Test
    void nobody_there_is_one_sentence() {
        Address nowhere = new Address.Unix(folder.resolve("nowhere"));
        IOException refused =
                assertThrows(IOException.class, () -> QmpClient.connect(nowhere, SOON, listener));
        assertTrue(refused.toString().contains("cannot connect to unix:"), refused::toString);
    }

    private static void greet(ServerSocketChannel other, String text) {
        try {
            SocketChannel accepted = other.accept();
            accepted.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static long twice(QmpClient client, int n) {
        try {
            return client.execute("twice", Json.object().put("n", n), SOON).get("n").asLong();
        } catch (IOException | InterruptedException e) {
            return -1;
        }
    }
}
