package dev.lockstep.nbd.server;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.tls.TlsChannel;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;

import javax.net.ssl.SSLEngine;

/// What many clients that speak TLS, or one that asks for much, do to a server.
class TlsLoadTest extends TlsServing {
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void hundreds_of_half_open_handshakes_keep_nobody_out_and_end_at_the_deadline(boolean withKeys)
            throws IOException {
        serve(withKeys, Duration.ofSeconds(5));
        List<RawClient> halfOpen = new ArrayList<>();
        try (RawClient before = encrypted(withKeys)) {
            before.ask(new Option.Go("disk", List.of()));
            for (int index = 0; index < 300; index++) {
                halfOpen.add(consented());
            }
            assertServes(withKeys);
            assertWorks(before);
            for (RawClient client : halfOpen) {
                assertTrue(client.isHungUp());
                client.close();
            }
            await().until(() -> server.connections().size() == 1);
            assertWorks(before);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_flood_of_reads_whose_replies_are_not_read_is_held_back_behind_tls(boolean withKeys)
            throws IOException {
        serve(withKeys, LONG);
        for (int length : List.of(4096, 1 << 20)) {
            try (RawClient flood = encrypted(withKeys);
                    RawClient other = encrypted(withKeys)) {
                other.ask(new Option.Go("disk", List.of()));
                flood.ask(new Option.Go("disk", List.of()));
                Future<?> sending = threads.submit(() -> floodUntilStuck(flood, length));
                long[] seen = {-1};
                await().pollInterval(Duration.ofMillis(100))
                        .during(Duration.ofMillis(500))
                        .atMost(Duration.ofSeconds(60))
                        .until(
                                () ->
                                        seen[0] == (seen[0] = server.heldBytes().get())
                                                && seen[0] > 0);
                long bound = Allowance.CONNECTION_BYTES_MAX + 2L * LoopBuffers.REPLY_BYTES;
                assertTrue(seen[0] <= bound, () -> "held " + seen[0]);
                assertEquals(Future.State.RUNNING, sending.state(), "the client is held back");
                assertWorks(other);
            }
        }
    }

    private static Void floodUntilStuck(RawClient flood, int length) {
        ByteBuffer request = RawClient.header(0, NbdProtocol.CMD_READ, 1, 0, length);
        try {
            while (true) {
                flood.send(request.rewind());
            }
        } catch (IOException _) {
            return null; // the test has hung up
        }
    }

    /// The costly part of a handshake is not done on the event loop.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void two_hundred_handshakes_at_once_keep_nobody_waiting(boolean withKeys) throws Exception {
        serve(withKeys, LONG);
        try (RawClient other = encrypted(withKeys)) {
            other.ask(new Option.Go("disk", List.of()));
            assertWorks(other);
            List<Future<?>> handshakes = new ArrayList<>();
            for (int index = 0; index < 200; index++) {
                handshakes.add(
                        threads.submit(
                                () -> {
                                    assertServes(withKeys);
                                    return null;
                                }));
            }
            long worst = 0;
            int answers = 0;
            long begun = System.nanoTime();
            while (handshakes.stream().anyMatch(handshake -> !handshake.isDone())) {
                long asked = System.nanoTime();
                assertWorks(other);
                worst = Math.max(worst, System.nanoTime() - asked);
                answers++;
            }
            System.out.printf(
                    "200 handshakes with %s in %d ms: %d answers to another client, the slowest after"
                            + " %d ms%n",
                    withKeys ? "keys" : "certificates",
                    (System.nanoTime() - begun) / 1_000_000,
                    answers,
                    worst / 1_000_000);
            for (Future<?> handshake : handshakes) {
                handshake.get();
            }
            assertTrue(answers > 20, () -> "another client is answered meanwhile");
        }
    }

    /// Each change of keys asks for one in return, so who reads none makes the server keep them.
    @Test
    void a_flood_of_changed_keys_whose_answers_are_not_read_ends_the_connection() throws Exception {
        serve(false, LONG);
        address = server.listen(new Address.Unix(pki.resolve("flood.sock")));
        try (RawClient flood = consented()) {
            SSLEngine engine = credentials(false, Endpoint.CLIENT).newEngine("localhost");
            TlsChannel channel = TlsChannel.handshake(flood.socket, engine);
            assertThrows(
                    IOException.class,
                    () -> {
                        for (int changes = 0; changes < 200_000; changes++) {
                            engine.beginHandshake();
                            channel.write(ByteBuffer.allocate(0));
                        }
                    });
        }
        assertServes(false);
    }
}
