package dev.lockstep.nbd.tls;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import io.netty.handler.codec.DecoderException;
import io.netty.handler.ssl.NotSslRecordException;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// Credentials from their files to a conversation between both ends.
class TlsCredentialsTest {
    private static final String KEY = "00112233445566778899aabbccddeeff";

    @TempDir private Path folder;
    private Path dir = Path.of("");
    private @Nullable Authority authority;

    @BeforeEach
    void makeFiles() throws Exception {
        dir = folder.resolve("pki");
        authority = Authority.in(folder.resolve("ca"));
        authority().server(dir);
        authority().client(dir, "client");
    }

    private Authority authority() {
        Authority made = authority;
        if (made == null) {
            throw new IllegalStateException();
        }
        return made;
    }

    private TlsCredentials server() {
        return TlsCredentials.x509(dir, Endpoint.SERVER, true);
    }

    private TlsCredentials client() {
        return TlsCredentials.x509(dir, Endpoint.CLIENT, true);
    }

    /// Both ends after a handshake.
    private record Ends(TlsChannel server, TlsChannel client) implements AutoCloseable {
        @Override
        public void close() throws IOException {
            server.close();
            client.close();
        }
    }

    private static Ends connect(TlsCredentials server, TlsCredentials client) throws Exception {
        return connect(server, client, "localhost");
    }

    /// @throws IOException what the server says, or else the client
    private static Ends connect(TlsCredentials server, TlsCredentials client, String host)
            throws Exception {
        try (ServerSocketChannel listener = ServerSocketChannel.open();
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
            SocketChannel near = SocketChannel.open(listener.getLocalAddress());
            SocketChannel far = listener.accept();
            Future<TlsChannel> serving = threads.submit(handshake(far, server, null));
            Future<TlsChannel> asking = threads.submit(handshake(near, client, host));
            try {
                return new Ends(serving.get(), asking.get());
            } catch (ExecutionException e) {
                throw e.getCause() instanceof IOException failed ? failed : e;
            }
        }
    }

    private static Callable<TlsChannel> handshake(
            SocketChannel socket, TlsCredentials credentials, @Nullable String host) {
        return () -> {
            try {
                return TlsChannel.handshake(socket, credentials.newEngine(host));
            } catch (IOException e) {
                socket.close();
                throw e;
            }
        };
    }

    private static String failure(TlsCredentials server, TlsCredentials client) {
        return String.valueOf(
                assertThrows(IOException.class, () -> connect(server, client)).getMessage());
    }

    @Test
    void both_ends_talk_and_the_server_knows_the_clients_name() throws Exception {
        try (Ends ends = connect(server(), client())) {
            assertEquals("CN=client", ends.server().identity());
            assertEquals("CN=localhost", ends.client().identity());
            assertStreams(ends.client(), ends.server());
            assertStreams(ends.server(), ends.client());
        }
    }

    @Test
    void pre_shared_keys_do_the_same() throws Exception {
        Files.writeString(folder.resolve("keys.psk"), "alice:%s\nqemu:%s\n".formatted(KEY, KEY));
        TlsCredentials server = TlsCredentials.psk(folder, Endpoint.SERVER, "");
        try (Ends ends = connect(server, TlsCredentials.psk(folder, Endpoint.CLIENT, "alice"))) {
            assertEquals("alice", ends.server().identity());
            assertStreams(ends.client(), ends.server());
            assertStreams(ends.server(), ends.client());
        }
    }

    /// Sends some MiB in odd pieces, gathered from two buffers, and reads them in odd pieces.
    private static void assertStreams(TlsChannel from, TlsChannel to) throws Exception {
        byte[] sent = new byte[3_000_001];
        new Random(3).nextBytes(sent);
        byte[] received = new byte[sent.length];
        Thread sender =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    try {
                                        for (int at = 0; at < sent.length; at += 100_001) {
                                            int end = Math.min(sent.length, at + 100_001);
                                            int middle = Math.min(end, at + 17);
                                            from.write(
                                                    new ByteBuffer[] {
                                                        ByteBuffer.wrap(sent, at, middle - at),
                                                        ByteBuffer.wrap(sent, middle, end - middle)
                                                    });
                                        }
                                    } catch (IOException e) {
                                        throw new IllegalStateException(e);
                                    }
                                });
        ByteBuffer target = ByteBuffer.wrap(received);
        for (int piece = 1; target.position() < received.length; piece = piece * 3 % 70_001 + 1) {
            target.limit(Math.min(received.length, target.position() + piece));
            assertTrue(to.read(target) > 0 || !target.hasRemaining());
        }
        sender.join();
        assertArrayEquals(sent, received);
    }

    @ParameterizedTest
    @ValueSource(strings = {"rsa", "ecdsa", "ed25519", "rsa-pss"})
    void every_kind_of_key_is_read_as_gnutls_and_as_openssl_write_it(String type) throws Exception {
        authority().issue(dir, "server", type, "cn = \"localhost\"", "dns_name = \"localhost\"");
        connect(server(), client()).close();
        Path key = dir.resolve("server-key.pem");
        Path other = dir.resolve("other.pem");
        Authority.run(List.of("openssl", "pkey", "-in", "" + key, "-out", "" + other));
        Files.move(other, key, StandardCopyOption.REPLACE_EXISTING);
        connect(server(), client()).close();
        if (type.equals("rsa") || type.equals("ecdsa")) {
            Authority.run(
                    List.of(
                            "openssl",
                            "pkey",
                            "-traditional",
                            "-in",
                            "" + key,
                            "-out",
                            "" + other));
            Files.move(other, key, StandardCopyOption.REPLACE_EXISTING);
            connect(server(), client()).close();
        }
    }

    @Test
    void new_files_are_used_by_the_next_handshake_and_broken_ones_are_not() throws Exception {
        TlsCredentials server = server();
        connect(server, client()).close();
        authority().issue(dir, "server", "ecdsa", "cn = \"new\"", "dns_name = \"localhost\"");
        try (Ends ends = connect(server, client())) {
            assertEquals("CN=new", ends.client().identity());
        }
        Files.writeString(dir.resolve("server-key.pem"), "rubbish");
        try (Ends ends = connect(server, client())) {
            assertEquals("CN=new", ends.client().identity());
        }
        authority().issue(dir, "server", "ecdsa", "cn = \"newer\"", "dns_name = \"localhost\"");
        try (Ends ends = connect(server, client())) {
            assertEquals("CN=newer", ends.client().identity());
        }
    }

    @Test
    void a_revoked_client_is_refused_from_the_next_handshake_on() throws Exception {
        TlsCredentials server = server();
        authority().revoke(dir, false);
        connect(server, TlsCredentials.x509(dir, Endpoint.CLIENT, false)).close();
        authority().revoke(dir, true);
        assertTrue(
                failure(server, TlsCredentials.x509(dir, Endpoint.CLIENT, false))
                        .contains("revoked"));
    }

    @Test
    void a_client_without_a_certificate_is_refused_unless_nobody_looks() throws Exception {
        Path bare = Files.createDirectory(folder.resolve("bare"));
        Files.copy(dir.resolve("ca-cert.pem"), bare.resolve("ca-cert.pem"));
        TlsCredentials client = TlsCredentials.x509(bare, Endpoint.CLIENT, true);
        assertTrue(failure(server(), client).contains("certificate"));
        TlsCredentials careless = TlsCredentials.x509(dir, Endpoint.SERVER, false);
        try (Ends ends = connect(careless, client)) {
            assertEquals("", ends.server().identity());
        }
    }

    @Test
    void a_server_is_refused_for_a_wrong_authority_name_or_date() throws Exception {
        Path other = folder.resolve("other");
        Authority.in(folder.resolve("other-ca")).client(other, "client");
        TlsCredentials careless = TlsCredentials.x509(dir, Endpoint.SERVER, false);
        assertClientRefuses(
                careless, TlsCredentials.x509(other, Endpoint.CLIENT, true), "localhost", "signed");
        connect(careless, TlsCredentials.x509(other, Endpoint.CLIENT, false)).close();
        assertClientRefuses(careless, client(), "elsewhere", "elsewhere");
        authority()
                .issue(
                        dir,
                        "server",
                        "ecdsa",
                        "cn = \"localhost\"",
                        "dns_name = \"localhost\"",
                        "activation_date = \"2020-01-01 00:00:00\"",
                        "expiration_date = \"2020-02-01 00:00:00\"");
        assertClientRefuses(careless, client(), "localhost", "expired");
    }

    private static void assertClientRefuses(
            TlsCredentials server, TlsCredentials client, String host, String word)
            throws Exception {
        try (ServerSocketChannel listener = ServerSocketChannel.open()) {
            listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
            try (SocketChannel near = SocketChannel.open(listener.getLocalAddress())) {
                SocketChannel far = listener.accept();
                Thread serving =
                        Thread.startVirtualThread(
                                () ->
                                        assertThrows(
                                                IOException.class,
                                                handshake(far, server, null)::call));
                String words =
                        String.valueOf(
                                assertThrows(IOException.class, handshake(near, client, host)::call)
                                        .getMessage());
                serving.join();
                assertTrue(words.contains(word), words);
            }
        }
    }

    @Test
    void what_cannot_be_read_is_told_in_a_sentence_that_names_the_file() throws Exception {
        Files.writeString(dir.resolve("ca-cert.pem"), "rubbish");
        assertComplains("ca-cert.pem", server());
        Files.delete(dir.resolve("ca-cert.pem"));
        assertComplains("there is no file " + dir.resolve("ca-cert.pem"), server());
        authority().server(dir);
        Path stranger = authority().server(folder.resolve("stranger"));
        Files.copy(
                stranger.resolve("server-key.pem"),
                dir.resolve("server-key.pem"),
                StandardCopyOption.REPLACE_EXISTING);
        assertComplains("does not belong to the certificate", server());
        Path locked = dir.resolve("locked.pem");
        Authority.run(
                List.of(
                        "openssl",
                        "genpkey",
                        "-algorithm",
                        "RSA",
                        "-aes256",
                        "-pass",
                        "pass:x",
                        "-out",
                        "" + locked));
        Files.move(locked, dir.resolve("server-key.pem"), StandardCopyOption.REPLACE_EXISTING);
        assertComplains("encrypted", server());
        TlsCredentials psk = TlsCredentials.psk(folder, Endpoint.CLIENT, "alice");
        assertComplains("keys.psk", psk);
        Files.writeString(folder.resolve("keys.psk"), "qemu:%s\n".formatted(KEY));
        assertComplains("the user 'alice'", psk);
        Files.writeString(folder.resolve("keys.psk"), "qemu:%s\nalice:nothex\n".formatted(KEY));
        assertComplains("line 2", psk);
    }

    @Test
    void an_encrypted_key_is_read_with_its_password_and_no_other() throws Exception {
        Path dir = authority().server(folder.resolve("server"));
        Path key = dir.resolve("server-key.pem");
        Path plain = Files.move(key, dir.resolve("plain.pem"));
        for (String cipher : List.of("aes-256-cbc", "aes-128-cbc")) {
            Authority.run(
                    List.of(
                            "openssl",
                            "pkcs8",
                            "-topk8",
                            "-v2",
                            cipher,
                            "-passout",
                            "pass:open",
                            "-in",
                            "" + plain,
                            "-out",
                            "" + key));
            TlsCredentials.x509(dir, Endpoint.SERVER, true, "open".toCharArray()).check();
            assertComplains(
                    "its password is missing", TlsCredentials.x509(dir, Endpoint.SERVER, true));
            assertComplains(
                    "the password of " + key,
                    TlsCredentials.x509(dir, Endpoint.SERVER, true, "wrong".toCharArray()));
        }
    }

    @Test
    void what_a_stranger_sent_instead_of_tls_is_not_repeated_in_the_log() {
        String hex = "00".repeat(600);
        assertEquals(
                "what came is no TLS",
                TlsFailure.words(
                        new DecoderException(
                                new NotSslRecordException("not an SSL/TLS record: " + hex))));
    }

    private static void assertComplains(String words, TlsCredentials credentials) {
        String message =
                String.valueOf(assertThrows(IOException.class, credentials::check).getMessage());
        assertTrue(message.contains(words), message);
    }

    @Test
    void a_list_of_rules_is_decided_by_the_first_that_matches() {
        TlsAuthorization list =
                TlsAuthorization.list(
                        List.of(
                                new TlsAuthorization.Rule("CN=bob,O=a", false, false),
                                new TlsAuthorization.Rule("CN=*,O=?", true, true)),
                        false);
        assertTrue(list.allows("CN=alice,O=a"));
        assertFalse(list.allows("CN=bob,O=a"));
        assertFalse(list.allows("CN=alice,O=long"));
        assertFalse(list.allows(""));
    }
}
