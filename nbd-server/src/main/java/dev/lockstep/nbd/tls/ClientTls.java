package dev.lockstep.nbd.tls;

import org.jspecify.annotations.Nullable;

/// What a client does about TLS. A client without one of these speaks none.
///
/// @param credentials those of a client
/// @param required whether to give up if the server does not offer TLS; otherwise the connection
///     then goes on in the clear, which whoever sits on the network can bring about
/// @param hostname what the server's certificate must be made out to; null is the host connected
///     to, and on a Unix socket anything
public record ClientTls(TlsCredentials credentials, boolean required, @Nullable String hostname) {
    /// Checks that the credentials are a client's.
    public ClientTls {
        if (credentials.endpoint() != TlsCredentials.Endpoint.CLIENT) {
            throw new IllegalArgumentException(
                    "the %s are for a server; a client needs endpoint=client"
                            .formatted(credentials));
        }
    }

    /// TLS or nothing.
    public static ClientTls required(TlsCredentials credentials) {
        return new ClientTls(credentials, true, null);
    }

    /// The same for a server whose certificate is made out to another name.
    public ClientTls withHostname(@Nullable String name) {
        return new ClientTls(credentials, required, name);
    }
}
