package dev.lockstep.cli;

import dev.lockstep.image.UserObjects;
import dev.lockstep.nbd.tls.ClientTls;
import dev.lockstep.nbd.tls.ServerTls;
import dev.lockstep.nbd.tls.TlsCredentials;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/// The options of `lockstep nbd` about TLS.
final class NbdSecurity {
    @Option(
            names = "--object",
            paramLabel = "TYPE,id=ID,...",
            description =
                    "Define what other options name: tls-creds-x509 (dir, endpoint=server|client,"
                            + " verify-peer), tls-creds-psk (dir, endpoint, username), authz-simple"
                            + " (identity), authz-list (policy, rules.0.match, ...), authz-list-file"
                            + " (filename, refresh), secret.")
    private List<String> definitions = new ArrayList<>();

    @Option(
            names = "--tls-creds",
            paramLabel = "ID",
            description = "Speak TLS with these credentials, and nothing else.")
    private @Nullable String credentialsId;

    @Option(
            names = "--tls-authz",
            paramLabel = "ID",
            description = "Let in only clients whose certificates this authorization allows.")
    private @Nullable String authorizationId;

    @Option(
            names = "--tls-hostname",
            paramLabel = "NAME",
            description = "With -L: the name that the server's certificate is made out to.")
    private @Nullable String hostname;

    /// Refuses what cannot be.
    ///
    /// @param listing whether another server is asked, and none is started
    void check(boolean listing) {
        if (credentialsId == null && authorizationId != null) {
            throw new UsageError("--tls-authz needs --tls-creds as well");
        }
        if (credentialsId == null && hostname != null) {
            throw new UsageError("--tls-hostname needs --tls-creds as well");
        }
        if (listing && authorizationId != null) {
            throw new UsageError("--tls-authz is for a server: with -L leave it out");
        }
        if (!listing && hostname != null) {
            throw new UsageError("--tls-hostname is for a client: it needs -L");
        }
    }

    /// What `--object` defines.
    UserObjects objects() {
        return checked(() -> UserObjects.parse(definitions));
    }

    /// What a server does about TLS, or null if it speaks none. The files are read.
    @Nullable ServerTls server(UserObjects objects) throws IOException {
        String id = credentialsId;
        if (id == null) {
            return null;
        }
        TlsCredentials credentials = checked(() -> objects.credentials(id));
        ServerTls tls = checked(() -> ServerTls.required(credentials));
        credentials.check();
        String authorization = authorizationId;
        return authorization == null
                ? tls
                : tls.withAuthorization(checked(() -> objects.authorization(authorization)));
    }

    /// What a client does about TLS, or null if it speaks none. The files are read.
    @Nullable ClientTls client() throws IOException {
        UserObjects objects = objects();
        String id = credentialsId;
        if (id == null) {
            return null;
        }
        TlsCredentials credentials = checked(() -> objects.credentials(id));
        ClientTls tls = checked(() -> ClientTls.required(credentials));
        credentials.check();
        return tls.withHostname(hostname);
    }

    private static <T> T checked(Supplier<T> making) {
        try {
            return making.get();
        } catch (IllegalArgumentException e) {
            throw new UsageError(String.valueOf(e.getMessage()));
        }
    }
}
