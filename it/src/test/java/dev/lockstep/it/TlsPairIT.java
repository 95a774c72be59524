package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;

/// A pair whose sides reach each other through TLS, on addresses that other hosts reach too.
class TlsPairIT {
    @TempDir private Path folder;

    @Test
    void a_pair_with_certificates_replicates_and_fails_over() throws Exception {
        Path pki = Files.createDirectory(folder.resolve("pki"));
        certificate(pki, "ca");
        certificate(pki, "server", "-addext", "subjectAltName=IP:127.0.0.1");
        certificate(pki, "client");
        replicates("--tls-certificates", pki.toString());
    }

    @Test
    void a_pair_with_pre_shared_keys_replicates_and_fails_over() throws Exception {
        Path keys = Files.writeString(folder.resolve("keys.psk"), "qemu:00112233445566778899\n");
        replicates("--tls-psk", keys.toString());
    }

    private void replicates(String option, String credentials) throws Exception {
        try (Pair pair = new Pair(folder, 16 << 20)) {
            Lockstep secondary =
                    pair.startSecondary(
                            option,
                            credentials,
                            "--listen",
                            "0.0.0.0:" + pair.targetPort(),
                            "--monitor",
                            pair.secondaryMonitor().replace("127.0.0.1", "0.0.0.0"));
            Lockstep primary = pair.startPrimary("--sync", "none", option, credentials);
            Guest.run(primary.uri(), "write -P 1 0 1M", "write -P 2 4M 64k");
            pair.checkpoint();
            Guest.run(primary.uri(), "write -P 9 0 512k");
            assertInTheClearNothingIsTold(pair);
            primary.kill9();
            pair.failover(option, credentials).expectSuccess();
            Guest.run(secondary.uri(), "read -P 1 0 1M", "read -P 2 4M 64k", "write -P 4 1M 4k");
            assertEquals(0, secondary.terminate(), secondary::errors);
        }
    }

    private static void assertInTheClearNothingIsTold(Pair pair) {
        String target = "nbd://127.0.0.1:%d/%s".formatted(pair.targetPort(), Pair.NAME);
        Peer.Result info = Peer.run("nbdinfo", target);
        assertFalse(info.exit() == 0, info::output);
        assertTrue((info.output() + info.errors()).contains("TLS"), info::errors);
        Peer.Result status = Lockstep.run("colo", "status", "--monitor", pair.secondaryMonitor());
        assertFalse(status.exit() == 0, status::output);
    }

    /// Makes a certificate of the folder's authority, or the authority itself.
    private static void certificate(Path folder, String name, String... more) {
        String[] own =
                name.equals("ca")
                        ? new String[] {}
                        : new String[] {
                            "-CA", folder + "/ca-cert.pem", "-CAkey", folder + "/ca-key.pem"
                        };
        String[] common = {
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=" + name,
            "-keyout",
            "%s/%s-key.pem".formatted(folder, name),
            "-out",
            "%s/%s-cert.pem".formatted(folder, name)
        };
        Peer.run(Stream.of(common, own, more).flatMap(Arrays::stream).toArray(String[]::new))
                .expectSuccess();
    }
}
