package dev.lockstep.cli;

import dev.lockstep.colo.PairTls;
import dev.lockstep.nbd.tls.TlsCredentials;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

import java.nio.file.Path;

/// The credentials of a pair, the same for its sides and for the commands that ask them.
final class PairTlsOptions {
    @Option(
            names = "--tls-certificates",
            paramLabel = "DIR",
            description =
                    "Speak TLS on every TCP address, with the certificates in this folder:"
                            + " ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem and"
                            + " client-key.pem, where a command that only asks needs no server's."
                            + " Both ends must show one that the authority has signed.")
    private @Nullable Path certificates;

    @Option(
            names = "--tls-psk",
            paramLabel = "FILE",
            description =
                    "Speak TLS on every TCP address, with the pre-shared keys in this file of lines"
                            + " USERNAME:HEXKEY.")
    private @Nullable Path keys;

    @Option(
            names = "--tls-username",
            paramLabel = "NAME",
            description = "Whose key of --tls-psk to show. Default: qemu.")
    private @Nullable String username;

    @Option(
            names = "--tls-hostname",
            paramLabel = "NAME",
            description =
                    "What the certificate of the other side is made out to. Default: the host that"
                            + " is connected to.")
    private @Nullable String hostname;

    PairTls tls() {
        if (certificates != null && keys != null) {
            throw new UsageError("give one of --tls-certificates and --tls-psk");
        }
        if (certificates == null && hostname != null) {
            throw new UsageError("--tls-hostname goes with --tls-certificates");
        }
        if (keys == null && username != null) {
            throw new UsageError("--tls-username goes with --tls-psk");
        }
        if (certificates != null) {
            return PairTls.certificates(certificates, hostname);
        }
        return keys == null
                ? PairTls.NONE
                : PairTls.preSharedKeys(
                        keys, username == null ? TlsCredentials.PSK_USERNAME_DEFAULT : username);
    }
}
