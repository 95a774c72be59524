package dev.lockstep.nbd.tls;

/// What a server does about TLS. A server without one of these speaks none.
///
/// @param credentials those of a server
/// @param required whether nothing is said in the clear but the beginning of TLS (the
///     specification's FORCEDTLS); otherwise each export says whether it needs TLS (SELECTIVETLS)
/// @param authorization which clients are let in
public record ServerTls(
        TlsCredentials credentials, boolean required, TlsAuthorization authorization) {
    /// Checks that the credentials are a server's.
    public ServerTls {
        if (credentials.endpoint() != TlsCredentials.Endpoint.SERVER) {
            throw new IllegalArgumentException(
                    "the %s are for a client; a server needs endpoint=server"
                            .formatted(credentials));
        }
    }

    /// TLS that every client must use.
    public static ServerTls required(TlsCredentials credentials) {
        return new ServerTls(credentials, true, TlsAuthorization.ANYONE);
    }

    /// TLS for clients that ask for it, and for exports that need it.
    public static ServerTls allowed(TlsCredentials credentials) {
        return new ServerTls(credentials, false, TlsAuthorization.ANYONE);
    }

    /// The same with another authorization.
    public ServerTls withAuthorization(TlsAuthorization other) {
        return new ServerTls(credentials, required, other);
    }
}
