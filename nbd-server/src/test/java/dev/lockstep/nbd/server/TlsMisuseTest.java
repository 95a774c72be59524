package dev.lockstep.nbd.server;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.conformance.Shows;
import dev.lockstep.nbd.tls.TlsChannel;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.DataInputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;

import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/// What a server that speaks TLS does with clients that are wrong, hostile or gone.
class TlsMisuseTest extends TlsServing {
    private static final int TLS_ALERT = 21;
    private static final int TLS_HANDSHAKE = 22;
    private static final int TLS_DATA = 23;

    private static ByteBuffer record(int type, byte[] content, int claimed) {
        return ByteBuffer.allocate(5 + content.length)
                .put((byte) type)
                .putShort((short) 0x0303)
                .putShort((short) claimed)
                .put(content)
                .flip();
    }

    private static ByteBuffer join(ByteBuffer one, ByteBuffer other) {
        return ByteBuffer.allocate(one.remaining() + other.remaining()).put(one).put(other).flip();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void options_sent_along_with_starttls_are_not_believed_after_it(boolean withKeys)
            throws IOException {
        serve(withKeys, LONG);
        for (Option injected :
                List.of(
                        new Option.StructuredReply(),
                        new Option.Go("disk", List.of()),
                        new Option.StartTls())) {
            try (RawClient client = RawClient.connect(address).flags(3)) {
                client.send(
                        join(
                                OptionCodec.encode(new Option.StartTls()),
                                OptionCodec.encode(injected)));
                assertTrue(client.isHungUp(), () -> "after " + injected);
            }
        }
        assertServes(withKeys);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void half_an_option_sent_along_with_starttls_is_not_completed_by_what_comes_encrypted(
            boolean withKeys) throws IOException {
        serve(withKeys, LONG);
        ByteBuffer half = OptionCodec.encode(new Option.Go("disk", List.of()));
        half.limit(half.limit() / 2);
        try (RawClient client = RawClient.connect(address).flags(3)) {
            client.send(join(OptionCodec.encode(new Option.StartTls()), half));
            assertTrue(client.isHungUp());
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    @Shows("disc.tls")
    void a_client_that_says_goodbye_is_told_that_tls_ends_before_the_connection_does(
            boolean withKeys) throws IOException {
        serve(withKeys, LONG);
        ByteBuffer disconnect = RawClient.header(0, NbdProtocol.CMD_DISC, 1, 0, 0);
        try (RawClient client = consented()) {
            SSLEngine engine = credentials(withKeys, Endpoint.CLIENT).newEngine("localhost");
            TlsChannel channel = TlsChannel.handshake(client.socket, engine);
            channel.write(join(OptionCodec.encode(new Option.Go("disk", List.of())), disconnect));
            ByteBuffer rest = ByteBuffer.allocate(1 << 16);
            while (channel.read(rest) >= 0) {
                assertTrue(rest.hasRemaining(), "it ends");
            }
            assertTrue(engine.isInboundDone(), "close_notify came");
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_second_starttls_is_refused_and_the_session_goes_on(boolean withKeys) throws IOException {
        serve(withKeys, LONG);
        try (RawClient client = encrypted(withKeys)) {
            OptionReply.Refusal refusal =
                    assertInstanceOf(
                            OptionReply.Refusal.class,
                            client.ask(new Option.StartTls()).getFirst());
            assertEquals(NbdProtocol.REP_ERR_INVALID, refusal.type());
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_tls_handshake_that_stalls_or_trickles_is_dropped_at_the_deadline(boolean withKeys)
            throws IOException {
        serve(withKeys, Duration.ofSeconds(1));
        List<RawClient> stalled = new ArrayList<>();
        for (byte[] begun : List.of(new byte[0], new byte[] {TLS_HANDSHAKE, 3, 1}, new byte[200])) {
            stalled.add(
                    consented()
                            .send(
                                    begun.length < 200
                                            ? ByteBuffer.wrap(begun)
                                            : record(TLS_HANDSHAKE, begun, 4000)));
        }
        for (RawClient client : stalled) {
            try (client) {
                assertTrue(client.isHungUp());
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void garbage_instead_of_a_hello_ends_that_connection_only(boolean withKeys) throws IOException {
        serve(withKeys, LONG);
        long seed = Long.getLong("LOCKSTEP_SEED", System.nanoTime());
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        try (RawClient good = encrypted(withKeys)) {
            for (int round = 0; round < 50; round++) {
                byte[] junk = new byte[1 + random.nextInt(600)];
                random.nextBytes(junk);
                ByteBuffer sent =
                        random.nextBoolean()
                                ? record(TLS_ALERT + random.nextInt(3), junk, junk.length)
                                : ByteBuffer.wrap(junk);
                try (RawClient bad = consented()) {
                    bad.send(sent);
                    bad.socket.shutdownOutput();
                    drain(bad);
                }
            }
            good.ask(new Option.Go("disk", List.of()));
            assertWorks(good);
        }
    }

    /// Reads what the server still says, which in TLS may be an alert, until it hangs up.
    private static void drain(RawClient client) {
        try {
            while (client.socket.read(ByteBuffer.allocate(4096)) >= 0) {
                // goes on
            }
        } catch (IOException _) {
            // reset: that is an end too
        }
    }

    @Test
    void a_request_in_the_clear_where_tls_is_agreed_on_gets_nothing() throws IOException {
        serve(false, LONG);
        try (RawClient client = consented()) {
            client.request(NbdProtocol.CMD_READ, 1, 0, 4096);
            client.socket.shutdownOutput();
            ByteBuffer said = ByteBuffer.allocate(4096);
            while (client.socket.read(said) >= 0) {
                assertTrue(said.position() < 64, "more than an alert");
            }
        }
    }

    @Test
    void options_in_the_clear_are_told_that_tls_is_required() throws IOException {
        serve(false, LONG);
        try (RawClient client = RawClient.connect(address).flags(3)) {
            for (Option option :
                    List.of(new Option.Go("disk", List.of()), new Option.ListExports())) {
                OptionReply.Refusal refusal =
                        assertInstanceOf(OptionReply.Refusal.class, client.ask(option).getFirst());
                assertEquals(NbdProtocol.REP_ERR_TLS_REQD, refusal.type());
            }
            client.startTls(credentials(false, Endpoint.CLIENT));
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_record_that_is_too_long_ends_the_connection(boolean withKeys) throws IOException {
        serve(withKeys, LONG);
        byte[] content = new byte[0xffff];
        for (int type : List.of(TLS_HANDSHAKE, TLS_DATA)) {
            try (RawClient client = consented()) {
                client.send(record(type, content, content.length));
                drain(client);
            } catch (IOException _) {
                // hung up on while still sending
            }
        }
        try (RawClient client = encrypted(withKeys)) {
            client.ask(new Option.Go("disk", List.of()));
            client.socket.write(record(TLS_DATA, content, content.length));
            drain(client);
        } catch (IOException _) {
            // hung up on while still sending
        }
        await().until(() -> server.connections().isEmpty());
        assertServes(withKeys);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_record_that_was_tampered_with_ends_the_connection(boolean withKeys) throws IOException {
        serve(withKeys, LONG);
        try (RawClient client = encrypted(withKeys)) {
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
            client.socket.write(record(TLS_DATA, new byte[64], 64));
            drain(client);
        }
        await().until(() -> server.connections().isEmpty());
        assertServes(withKeys);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_client_that_goes_without_a_close_notify_has_its_requests_done(boolean withKeys)
            throws IOException {
        serve(withKeys, LONG);
        byte[] ones = new byte[4096];
        Arrays.fill(ones, (byte) 1);
        try (RawClient client = encrypted(withKeys)) {
            client.ask(new Option.Go("disk", List.of()));
            client.write(1, 0, ones);
            client.socket.shutdownOutput();
            assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
        }
        await().until(() -> server.connections().isEmpty());
        ByteBuffer found = ByteBuffer.allocate(4096);
        memory.read(0, found);
        assertEquals(ByteBuffer.wrap(ones), found.flip());
    }

    /// A client of the JDK's, which can do what ours cannot: begin anew and change keys.
    private SSLSocket jdkClient(RawClient consented, String protocol) throws Exception {
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] {new Trusting()}, null);
        SSLSocket socket =
                (SSLSocket)
                        context.getSocketFactory()
                                .createSocket(consented.socket.socket(), "localhost", 0, true);
        socket.setEnabledProtocols(new String[] {protocol});
        socket.startHandshake();
        return socket;
    }

    private static void send(SSLSocket socket, ByteBuffer what) throws IOException {
        byte[] bytes = new byte[what.remaining()];
        what.get(bytes);
        socket.getOutputStream().write(bytes);
    }

    private static void go(SSLSocket socket) throws IOException {
        send(socket, OptionCodec.encode(new Option.Go("disk", List.of())));
        DataInputStream in = new DataInputStream(socket.getInputStream());
        int type;
        do {
            in.skipNBytes(12);
            type = in.readInt();
            in.skipNBytes(in.readInt());
        } while (type != NbdProtocol.REP_ACK);
    }

    private static void read(SSLSocket socket) throws IOException {
        send(socket, RawClient.header(0, NbdProtocol.CMD_READ, 1, 0, 512));
        new DataInputStream(socket.getInputStream())
                .skipNBytes(NbdProtocol.SIMPLE_REPLY_BYTES + 512);
    }

    @Test
    void a_renegotiation_is_refused_and_ends_the_connection() throws Exception {
        serve(false, LONG);
        try (SSLSocket socket = jdkClient(consented(), "TLSv1.2")) {
            go(socket);
            read(socket);
            assertThrows(
                    IOException.class,
                    () -> {
                        socket.startHandshake();
                        read(socket);
                    });
        }
        await().until(() -> server.connections().isEmpty());
        assertServes(false);
    }

    @Test
    void a_client_may_change_its_keys() throws Exception {
        serve(false, LONG);
        try (SSLSocket socket = jdkClient(consented(), "TLSv1.3")) {
            go(socket);
            for (int round = 0; round < 10; round++) {
                socket.startHandshake(); // in TLS 1.3 that changes the keys of both directions
                read(socket);
            }
        }
    }

    /// TLS 1.1, by a client that knows no later one.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    @Shows("tls.old")
    void a_client_of_an_older_version_of_tls_is_refused(boolean withKeys) throws IOException {
        serve(withKeys, LONG);
        byte[] random = new byte[32];
        short[] suites = {0x002f, 0x0035, (short) 0xc009, (short) 0xc013, (short) 0x008c};
        ByteBuffer hello =
                ByteBuffer.allocate(128)
                        .put((byte) 1)
                        .put((byte) 0)
                        .putShort((short) (2 + random.length + 1 + 2 + 2 * suites.length + 2))
                        .putShort((short) 0x0302)
                        .put(random)
                        .put((byte) 0)
                        .putShort((short) (2 * suites.length));
        for (short suite : suites) {
            hello.putShort(suite);
        }
        hello.put((byte) 1).put((byte) 0).flip();
        byte[] bytes = new byte[hello.remaining()];
        hello.get(bytes);
        try (RawClient client = consented()) {
            client.send(record(TLS_HANDSHAKE, bytes, bytes.length));
            ByteBuffer alert = client.receive(7);
            assertEquals(TLS_ALERT, alert.get(0));
            int protocolVersion = 70;
            assertEquals(protocolVersion, alert.get(6));
            assertTrue(client.isHungUp());
        }
        SSLEngine ours = credentials(withKeys, Endpoint.CLIENT).newEngine("localhost");
        assertEquals(Set.of("TLSv1.3", "TLSv1.2"), Set.of(ours.getEnabledProtocols()));
    }

    private static final class Trusting extends X509ExtendedTrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
