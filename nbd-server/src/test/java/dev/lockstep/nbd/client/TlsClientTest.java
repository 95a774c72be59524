package dev.lockstep.nbd.client;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.OptionReplyCodec;
import dev.lockstep.nbd.conformance.Shows;
import dev.lockstep.nbd.server.NbdServer;
import dev.lockstep.nbd.server.ServerOptions;
import dev.lockstep.nbd.tls.Authority;
import dev.lockstep.nbd.tls.ClientTls;
import dev.lockstep.nbd.tls.ServerTls;
import dev.lockstep.nbd.tls.TlsChannel;
import dev.lockstep.nbd.tls.TlsCredentials;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

import javax.net.ssl.SSLEngine;

/// Our client on other people's servers, which use GnuTLS.
class TlsClientTest {
    private static final int SIZE = 8 << 20;

    @TempDir private static Path pki;
    private static Path certificates = Path.of("");
    private static Path keys = Path.of("");

    @TempDir private Path folder;

    @BeforeAll
    static void makeCredentials() throws Exception {
        Authority authority = Authority.in(pki.resolve("ca"));
        certificates = authority.server(pki.resolve("x509"));
        authority.issue(
                certificates,
                "client",
                "ecdsa",
                "country = DE",
                "organization = \"Some, Inc. \\\"x\\\"\"",
                "unit = \"a+b\"",
                "cn = \"client\"");
        keys = Files.createDirectory(pki.resolve("psk"));
        Files.writeString(keys.resolve("keys.psk"), "alice:0123456789abcdef0123456789abcdef\n");
    }

    private static ClientTls x509() {
        return ClientTls.required(TlsCredentials.x509(certificates, Endpoint.CLIENT, true));
    }

    private static ClientTls psk() {
        return ClientTls.required(TlsCredentials.psk(keys, Endpoint.CLIENT, "alice"));
    }

    private PeerServer nbdkit(String... tls) throws Exception {
        String[] all = new String[tls.length + 2];
        System.arraycopy(tls, 0, all, 0, tls.length);
        all[tls.length] = "memory";
        all[tls.length + 1] = "size=" + SIZE;
        return PeerServer.nbdkit(folder, all);
    }

    private PeerServer nbdkitWithCertificates() throws Exception {
        return nbdkit("--tls=require", "--tls-verify-peer", "--tls-certificates=" + certificates);
    }

    private PeerServer qemuNbd(String credentials, String... more) throws Exception {
        Path image = Files.createTempFile(folder, "disk", ".raw");
        Files.write(image, new byte[SIZE]);
        String[] all = new String[more.length + 5];
        System.arraycopy(more, 0, all, 0, more.length);
        all[more.length] = "--object";
        all[more.length + 1] = credentials + ",id=tls,endpoint=server";
        all[more.length + 2] = "--tls-creds";
        all[more.length + 3] = "tls";
        all[more.length + 4] = image.toString();
        return PeerServer.qemuNbdOverTcp(folder, all);
    }

    private static void assertWorks(PeerServer server, ClientTls tls) throws Exception {
        byte[] bytes = new byte[SIZE];
        new Random(5).nextBytes(bytes);
        ByteBuffer back = ByteBuffer.allocateDirect(SIZE);
        try (RemoteDevice device = RemoteDevice.open(server.options().withTls(tls))) {
            device.write(0, ByteBuffer.allocateDirect(SIZE).put(bytes).flip(), Set.of());
            for (int at = 0; at < SIZE; at += SIZE / 4) {
                device.read(at, back.slice(at, SIZE / 4));
            }
            device.flush();
        }
        byte[] read = new byte[SIZE];
        back.get(read);
        assertArrayEquals(bytes, read);
    }

    private static String failure(RemoteOptions options) {
        return String.valueOf(
                assertThrows(BlockException.class, () -> RemoteDevice.open(options).close())
                        .getMessage());
    }

    @Test
    @Shows("tls.client-upgrades")
    void certificates_work_with_nbdkit_and_with_qemu_nbd() throws Exception {
        try (PeerServer nbdkit = nbdkitWithCertificates();
                PeerServer qemu = qemuNbd("tls-creds-x509,verify-peer=yes,dir=" + certificates)) {
            assertWorks(nbdkit, x509());
            assertWorks(qemu, x509());
        }
    }

    @Test
    void pre_shared_keys_work_with_nbdkit_and_with_qemu_nbd() throws Exception {
        try (PeerServer nbdkit = nbdkit("--tls=require", "--tls-psk=" + keys.resolve("keys.psk"));
                PeerServer qemu = qemuNbd("tls-creds-psk,dir=" + keys)) {
            assertWorks(nbdkit, psk());
            assertWorks(qemu, psk());
        }
    }

    @Test
    @Shows("tls.version")
    void pre_shared_keys_work_in_tls_1_2_with_and_without_diffie_hellman() throws Exception {
        for (String exchange : new String[] {"PSK", "DHE-PSK"}) {
            String priority =
                    ",priority=NONE:+VERS-TLS1.2:+AES-256-GCM:+AES-128-GCM:+AEAD:+SIGN-ALL"
                            + ":+COMP-NULL:+GROUP-ALL:+"
                            + exchange;
            try (PeerServer qemu = qemuNbd("tls-creds-psk,dir=" + keys + priority)) {
                assertWorks(qemu, psk());
            }
        }
    }

    @Test
    void a_uri_says_it_all() throws Exception {
        try (PeerServer server = nbdkitWithCertificates()) {
            String uri =
                    server.uri().format().replace("nbd+", "nbds+")
                            + "&tls-certificates="
                            + certificates
                            + "&tls-hostname=localhost";
            RemoteOptions options = RemoteOptions.of(NbdUri.parse(uri));
            try (NbdConnection connection = NbdConnection.connect(options, _ -> {})) {
                assertTrue(connection.isEncrypted());
                assertEquals(SIZE, connection.export().size());
            }
        }
    }

    @Test
    void the_identity_is_written_as_qemu_expects_it() throws Exception {
        String name = "C=DE,O=Some\\, Inc. \\\"x\\\",OU=a\\+b,CN=client";
        try (PeerServer server =
                qemuNbd(
                        "tls-creds-x509,verify-peer=yes,dir=" + certificates,
                        "--object",
                        "authz-simple,id=authz,identity=" + name.replace(",", ",,"),
                        "--tls-authz",
                        "authz")) {
            assertWorks(server, x509());
        }
        assertEquals(name, Authority.subject(certificates.resolve("client-cert.pem")));
    }

    @Test
    @Shows("tls.client-failed")
    void a_name_that_the_certificate_does_not_have_is_refused() throws Exception {
        try (PeerServer server = nbdkitWithCertificates()) {
            RemoteOptions options = server.options();
            String words = failure(options.withTls(x509().withHostname("elsewhere.example")));
            assertTrue(words.contains("elsewhere.example"), words);
            RemoteDevice.open(options.withTls(x509().withHostname("localhost"))).close();
        }
    }

    @Test
    @Shows("tls.client-refused")
    void a_server_without_tls_is_refused_unless_tls_is_optional() throws Exception {
        try (PeerServer server = nbdkit()) {
            assertTrue(failure(server.options().withTls(x509())).contains("does not offer TLS"));
            ClientTls optional = new ClientTls(x509().credentials(), false, null);
            try (NbdConnection connection =
                    NbdConnection.connect(server.options().withTls(optional), _ -> {})) {
                assertFalse(connection.isEncrypted());
            }
        }
    }

    @Test
    void a_server_that_insists_on_tls_is_told_apart() throws Exception {
        try (PeerServer server = nbdkitWithCertificates()) {
            String words = failure(server.options());
            assertTrue(words.contains("insists on TLS"), words);
        }
    }

    @Test
    @Shows("tls.client-first")
    void what_comes_in_the_clear_after_the_consent_is_not_taken_for_encrypted() throws Exception {
        try (FakeServer server =
                new FakeServer(
                        wire -> {
                            wire.greet();
                            int option = wire.option();
                            assertEquals(NbdProtocol.OPT_STARTTLS, option);
                            wire.answer(option, new OptionReply.Ack());
                            wire.answer(NbdProtocol.OPT_GO, new OptionReply.Ack());
                        })) {
            String words = failure(server.options().withTls(x509()));
            assertTrue(words.contains("in the clear") || words.contains("TLS does not"), words);
        }
    }

    @Test
    @Shows("tls.client-fixed")
    void a_server_without_fixed_newstyle_is_not_asked_for_tls() throws Exception {
        Queue<Integer> afterwards = new ConcurrentLinkedQueue<>();
        try (FakeServer server =
                new FakeServer(
                        wire -> {
                            wire.out.writeLong(NbdProtocol.INIT_MAGIC);
                            wire.out.writeLong(NbdProtocol.OPTION_MAGIC);
                            wire.out.writeShort(0);
                            wire.out.flush();
                            wire.in.readInt();
                            afterwards.add(wire.in.read());
                        })) {
            String words = failure(server.options().withTls(x509()));
            assertTrue(words.contains("does not offer TLS"), words);
            await().until(() -> !afterwards.isEmpty());
        }
        assertEquals(List.of(-1), List.copyOf(afterwards), "nothing but the end");
    }

    @Test
    @Shows("tls.shutdown")
    void who_says_goodbye_ends_tls_before_the_connection() throws Exception {
        TlsCredentials own = TlsCredentials.x509(certificates, Endpoint.SERVER, true);
        try (ServerSocketChannel listener = ServerSocketChannel.open();
                ExecutorService thread = Executors.newVirtualThreadPerTaskExecutor()) {
            listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
            Future<Boolean> ended = thread.submit(() -> refuseAll(listener, own));
            int port = ((InetSocketAddress) listener.getLocalAddress()).getPort();
            NbdUri uri = new NbdUri(new Address.Tcp("127.0.0.1", port), "x");
            RemoteServer.connect(RemoteOptions.of(uri).withTls(x509())).close();
            assertTrue(ended.get(10, TimeUnit.SECONDS), "close_notify came");
        }
    }

    /// Begins TLS with one client, refuses all it asks for but ABORT, and returns whether it ended
    /// TLS before it hung up.
    private static boolean refuseAll(ServerSocketChannel listener, TlsCredentials own)
            throws IOException {
        try (SocketChannel socket = listener.accept()) {
            socket.write(
                    ByteBuffer.allocate(NbdProtocol.GREETING_BYTES)
                            .putLong(NbdProtocol.INIT_MAGIC)
                            .putLong(NbdProtocol.OPTION_MAGIC)
                            .putShort((short) NbdProtocol.FLAG_FIXED_NEWSTYLE)
                            .flip());
            boolean _ = readFully(socket, ByteBuffer.allocate(4));
            SSLEngine engine = own.newEngine(null);
            ByteChannel channel = socket;
            ByteBuffer header = ByteBuffer.allocate(NbdProtocol.OPTION_HEADER_BYTES);
            while (readFully(channel, header.clear())) {
                int option = header.getInt(8);
                boolean granted =
                        option == NbdProtocol.OPT_STARTTLS || option == NbdProtocol.OPT_ABORT;
                channel.write(
                        OptionReplyCodec.encode(
                                option,
                                granted
                                        ? new OptionReply.Ack()
                                        : new OptionReply.Refusal(NbdProtocol.REP_ERR_UNSUP, "")));
                if (option == NbdProtocol.OPT_STARTTLS) {
                    channel = TlsChannel.handshake(socket, engine);
                }
            }
            return engine.isInboundDone();
        }
    }

    /// @return false if there is nothing more
    private static boolean readFully(ByteChannel channel, ByteBuffer target) throws IOException {
        while (target.hasRemaining()) {
            if (channel.read(target) < 0) {
                return false;
            }
        }
        return true;
    }

    /// Of all that ends a handshake only GO tells the sizes of blocks.
    @Test
    @Shows("tls.client-go")
    void an_export_behind_tls_is_entered_with_go() throws Exception {
        TlsCredentials own = TlsCredentials.x509(certificates, Endpoint.SERVER, true);
        try (NbdServer server =
                NbdServer.start(
                        Exports.of(new Export("x", new MemoryDevice(SIZE))),
                        ServerOptions.DEFAULT.withTls(ServerTls.required(own)))) {
            NbdUri uri = new NbdUri(server.listen(new Address.Tcp("127.0.0.1", 0)), "x");
            try (RemoteDevice device = RemoteDevice.open(RemoteOptions.of(uri).withTls(x509()))) {
                assertTrue(device.isEncrypted());
                assertNotNull(device.export().blockSizes());
            }
        }
    }
}
