package dev.lockstep.qmp;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.tls.ClientTls;
import dev.lockstep.nbd.tls.ServerTls;
import dev.lockstep.nbd.tls.TlsAuthorization;
import dev.lockstep.nbd.tls.TlsCredentials;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;

/// The monitor through TLS, from the first byte.
@Timeout(60)
class QmpTlsTest {
    private static final Duration SOON = Duration.ofSeconds(10);

    @TempDir private Path folder;
    private final QmpServer server =
            new QmpServer(new QmpServer.Version(1, 2, 3), InstantSource.system());

    @BeforeEach
    void writeKeys() throws IOException {
        Files.writeString(folder.resolve("keys.psk"), "alice:0011223344556677\nbob:8899aabb\n");
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private Address listen(TlsAuthorization authorization) throws IOException {
        TlsCredentials keys = TlsCredentials.psk(folder, Endpoint.SERVER, "");
        return server.listen(
                Address.parse("127.0.0.1:0"),
                ServerTls.required(keys).withAuthorization(authorization));
    }

    private ClientTls key(String username) {
        return ClientTls.required(TlsCredentials.psk(folder, Endpoint.CLIENT, username));
    }

    private static QmpClient connect(Address address, @Nullable ClientTls tls)
            throws IOException, InterruptedException {
        return QmpClient.connect(address, SOON, tls, new QmpClient.Listener() {});
    }

    @Test
    void commands_and_events_pass() throws Exception {
        server.register(
                "echo",
                List.of(Parameter.required("text", Parameter.Type.STRING)),
                (arguments, _) -> arguments.json().deepCopy());
        try (QmpClient client = connect(listen(TlsAuthorization.ANYONE), key("alice"))) {
            String text = "x".repeat(200_000);
            assertEquals(
                    text,
                    client.execute("echo", Json.object().put("text", text), SOON)
                            .get("text")
                            .asText());
        }
    }

    @Test
    void a_client_in_the_clear_gets_no_word_and_takes_no_place() throws Exception {
        Address address = listen(TlsAuthorization.ANYONE);
        assertThrows(
                IOException.class,
                () ->
                        QmpClient.connect(
                                        address,
                                        Duration.ofMillis(300),
                                        new QmpClient.Listener() {})
                                .close());
        await().atMost(SOON).until(() -> server.connectionCount() == 0);
    }

    @Test
    void whoever_is_not_authorized_is_hung_up_on() throws Exception {
        Address address = listen(TlsAuthorization.only("alice"));
        connect(address, key("alice")).close();
        IOException refused =
                assertThrows(IOException.class, () -> connect(address, key("bob")).close());
        assertTrue(String.valueOf(refused.getMessage()).contains("lost"), refused::toString);
    }
}
