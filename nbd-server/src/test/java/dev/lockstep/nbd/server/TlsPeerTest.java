package dev.lockstep.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.conformance.Shows;
import dev.lockstep.nbd.tls.Authority;
import dev.lockstep.nbd.tls.ServerTls;
import dev.lockstep.nbd.tls.TlsAuthorization;
import dev.lockstep.nbd.tls.TlsCredentials;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Other people's clients, which use GnuTLS, on our server.
class TlsPeerTest {
    private static final int SIZE = 8 << 20;
    private static final String KEY = "0123456789abcdef0123456789abcdef";

    @TempDir private static Path pki;
    private static Path certificates = Path.of("");
    private static Path keys = Path.of("");

    @TempDir private Path folder;
    private final MemoryDevice device = new MemoryDevice(SIZE);
    private final Export disk = new Export("disk", new Gate(device));
    private NbdServer server = NbdServer.start(Exports.of());

    @BeforeAll
    static void makeCredentials() throws Exception {
        Authority authority = Authority.in(pki.resolve("ca"));
        certificates = authority.server(pki.resolve("x509"));
        authority.client(certificates, "client");
        keys = Files.createDirectory(pki.resolve("psk"));
        Files.writeString(keys.resolve("keys.psk"), "alice:%s\nqemu:%s\n".formatted(KEY, KEY));
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private static TlsCredentials x509(boolean verifyPeer) {
        return TlsCredentials.x509(certificates, Endpoint.SERVER, verifyPeer);
    }

    private static TlsCredentials psk() {
        return TlsCredentials.psk(keys, Endpoint.SERVER, "");
    }

    private void serve(ServerTls tls, Export... exports) {
        server.close();
        server = NbdServer.start(Exports.of(exports), ServerOptions.DEFAULT.withTls(tls));
    }

    private String socketUri(String scheme, String more) throws Exception {
        Path socket = folder.resolve("nbd.sock");
        server.listen(new Address.Unix(socket));
        return "%s/disk?socket=%s%s".formatted(scheme, socket, more);
    }

    private String x509Uri() throws Exception {
        return socketUri("nbds+unix://", "&tls-certificates=" + certificates);
    }

    private String pskUri() throws Exception {
        return socketUri("nbds+unix://alice@", "&tls-psk-file=" + keys.resolve("keys.psk"));
    }

    @Test
    void nbdinfo_sees_an_encrypted_export_with_certificates() throws Exception {
        serve(ServerTls.required(x509(true)), disk);
        String output = run(0, "nbdinfo", x509Uri());
        assertTrue(output.contains("with TLS, using structured"), output);
    }

    @Test
    void nbdinfo_sees_an_encrypted_export_with_pre_shared_keys() throws Exception {
        serve(ServerTls.required(psk()), disk);
        String output = run(0, "nbdinfo", pskUri());
        assertTrue(output.contains("with TLS, using structured"), output);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void nbdcopy_copies_in_both_directions_on_many_connections(boolean withKeys) throws Exception {
        serve(ServerTls.required(withKeys ? psk() : x509(true)), disk);
        String uri = withKeys ? pskUri() : x509Uri();
        byte[] bytes = new byte[SIZE];
        new Random(1).nextBytes(bytes);
        Path source = Files.write(folder.resolve("source"), bytes);
        Path copy = folder.resolve("copy");
        run(0, "nbdcopy", source.toString(), uri);
        run(0, "nbdcopy", uri, copy.toString());
        assertEquals(-1, Files.mismatch(source, copy));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void qemu_io_writes_and_reads_back(boolean withKeys) throws Exception {
        serve(ServerTls.required(withKeys ? psk() : x509(true)), disk);
        Address bound = server.listen(Address.parse("127.0.0.1:0"));
        String port = bound.toString().substring(bound.toString().lastIndexOf(':') + 1);
        String output =
                run(
                        0,
                        "qemu-io",
                        "--object",
                        (withKeys
                                        ? "tls-creds-psk,username=alice,dir=" + keys
                                        : "tls-creds-x509,dir=" + certificates)
                                + ",id=tls,endpoint=client",
                        "-c",
                        "write -P 5 0 3M",
                        "-c",
                        "write -P 7 1234 777",
                        "-c",
                        "read -P 5 2011 2M",
                        "-c",
                        "read -P 7 1234 777",
                        "--image-opts",
                        "driver=nbd,host=127.0.0.1,export=disk,tls-creds=tls,port=" + port);
        assertTrue(!output.contains("failed") && !output.contains("rror"), output);
    }

    @Test
    void a_client_without_a_certificate_or_with_a_strangers_is_refused() throws Exception {
        serve(ServerTls.required(x509(true)), disk);
        Path stranger = Authority.in(pki.resolve("other")).client(folder.resolve("stranger"), "x");
        Path bare = Files.createDirectory(folder.resolve("bare"));
        for (Path dir : List.of(stranger, bare)) {
            Files.copy(
                    certificates.resolve("ca-cert.pem"),
                    dir.resolve("ca-cert.pem"),
                    StandardCopyOption.REPLACE_EXISTING);
        }
        String uri = x509Uri();
        for (Path dir : List.of(stranger, bare)) {
            assertRefused(uri.replace(certificates.toString(), dir.toString()));
        }
        run(0, "nbdinfo", uri);
    }

    @Test
    @Shows("forced.failed")
    void a_client_with_a_wrong_key_or_name_is_refused() throws Exception {
        serve(ServerTls.required(psk()), disk);
        Path wrong =
                Files.writeString(
                        folder.resolve("wrong"), "alice:00112233\nbob:%s\n".formatted(KEY));
        String uri = pskUri().replace(keys.resolve("keys.psk").toString(), wrong.toString());
        assertRefused(uri);
        assertRefused(uri.replace("alice@", "bob@"));
    }

    @Test
    void only_whom_the_rules_name_comes_in() throws Exception {
        serve(
                ServerTls.required(x509(true))
                        .withAuthorization(TlsAuthorization.only("CN=client")),
                disk);
        String uri = x509Uri();
        run(0, "nbdinfo", uri);
        Path other = folder.resolve("other");
        Files.createDirectories(other);
        server.close();
        serve(
                ServerTls.required(x509(true)).withAuthorization(TlsAuthorization.only("CN=boss")),
                disk);
        server.listen(new Address.Unix(folder.resolve("nbd.sock")));
        assertRefused(uri);
    }

    @Test
    void a_plain_client_is_told_that_the_server_insists_on_tls() throws Exception {
        serve(ServerTls.required(x509(false)), disk);
        String output = assertRefused(socketUri("nbd+unix://", ""));
        assertTrue(output.contains("TLS"), output);
    }

    @Test
    void an_export_for_tls_alone_is_hidden_from_plain_clients() throws Exception {
        serve(
                ServerTls.allowed(x509(true)),
                disk.withTlsOnly(),
                new Export("open", new Gate(new MemoryDevice(4096))));
        String tls = x509Uri();
        String plain = tls.replace("nbds+unix", "nbd+unix").replaceAll("&tls.*", "");
        assertTrue(run(0, "nbdinfo", "--list", tls).contains("export=\"disk\""));
        String listed = run(0, "nbdinfo", "--list", plain);
        assertTrue(listed.contains("export=\"open\"") && !listed.contains("\"disk\""), listed);
        run(0, "nbdinfo", plain.replace("/disk", "/open"));
        assertRefused(plain);
        assertRefused(plain.replace("/disk", "/nothing"));
    }

    private static String assertRefused(String uri) throws Exception {
        return run(1, "nbdinfo", uri);
    }

    private static String run(int expected, String... command) throws Exception {
        List<String> line = new ArrayList<>(Arrays.asList(command));
        Process process = new ProcessBuilder(line).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int status = process.waitFor();
        if (expected == 0) {
            assertEquals(0, status, String.join(" ", line) + "\n" + output);
        } else {
            assertNotEquals(0, status, String.join(" ", line) + "\n" + output);
        }
        return output;
    }
}
