package dev.lockstep.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.tls.Authority;
import dev.lockstep.nbd.tls.ServerTls;
import dev.lockstep.nbd.tls.TlsCredentials;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/// A server that speaks TLS, with certificates or with keys, and clients of it.
abstract class TlsServing {
    static final int SIZE = 4 << 20;

    /// For clients that do nothing wrong, on a machine with other things to do.
    static final Duration LONG = Duration.ofSeconds(60);

    @TempDir static Path pki;
    private static Path certificates = Path.of("");
    private static Path keys = Path.of("");

    final MemoryDevice memory = new MemoryDevice(SIZE);
    final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    NbdServer server = NbdServer.start(Exports.of());
    Address address = new Address.Tcp("127.0.0.1", 0);

    @BeforeAll
    static void makeCredentials() throws Exception {
        Authority authority = Authority.in(pki.resolve("ca"));
        certificates = authority.server(pki.resolve("x509"));
        keys = Files.createDirectory(pki.resolve("psk"));
        Files.writeString(keys.resolve("keys.psk"), "qemu:0123456789abcdef0123456789abcdef\n");
    }

    @AfterEach
    void stop() {
        server.closeNow();
        threads.close();
        assertEquals(0, server.heldBytes().get(), "every byte that was held is released");
    }

    static TlsCredentials credentials(boolean withKeys, Endpoint endpoint) {
        return withKeys
                ? TlsCredentials.psk(keys, endpoint, TlsCredentials.PSK_USERNAME_DEFAULT)
                : TlsCredentials.x509(certificates, endpoint, endpoint == Endpoint.CLIENT);
    }

    void serve(boolean withKeys, Duration handshakeDeadline) throws IOException {
        serve(ServerTls.required(credentials(withKeys, Endpoint.SERVER)), handshakeDeadline);
    }

    private void serve(ServerTls tls, Duration handshakeDeadline) throws IOException {
        server.close();
        server =
                NbdServer.start(
                        Exports.of(new Export("disk", new Gate(memory))),
                        ServerOptions.DEFAULT
                                .withHandshakeDeadline(handshakeDeadline)
                                .withTls(tls));
        address = server.listen(new Address.Tcp("127.0.0.1", 0));
    }

    RawClient encrypted(boolean withKeys) throws IOException {
        return RawClient.encrypted(address, credentials(withKeys, Endpoint.CLIENT));
    }

    /// A client that has the server's consent and could begin with TLS now.
    RawClient consented() throws IOException {
        RawClient client = RawClient.connect(address).flags(3);
        assertInstanceOf(OptionReply.Ack.class, client.ask(new Option.StartTls()).getFirst());
        return client;
    }

    void assertServes(boolean withKeys) throws IOException {
        try (RawClient client = encrypted(withKeys)) {
            client.ask(new Option.Go("disk", List.of()));
            assertWorks(client);
        }
    }

    static void assertWorks(RawClient client) throws IOException {
        client.request(NbdProtocol.CMD_READ, 77, 0, 4096);
        assertEquals(new RawClient.Simple(0, 77), client.simpleReply());
        client.receive(4096);
    }
}
