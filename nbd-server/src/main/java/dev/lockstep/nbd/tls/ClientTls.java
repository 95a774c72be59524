package dev.lockstep.nbd.tls;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.UriTls;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;

import javax.net.ssl.SSLEngine;

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
        if (credentials.endpoint() != Endpoint.CLIENT) {
            throw new IllegalArgumentException(
                    "the %s are for a server; a client needs endpoint=client"
                            .formatted(credentials));
        }
    }

    /// TLS or nothing.
    public static ClientTls required(TlsCredentials credentials) {
        return new ClientTls(credentials, true, null);
    }

    /// What a URI asks for.
    public static ClientTls of(UriTls uri) {
        Path pskFile = uri.pskFile();
        Path certificates = uri.certificates();
        String username = uri.username() == null ? System.getProperty("user.name") : uri.username();
        TlsCredentials credentials =
                pskFile != null
                        ? TlsCredentials.pskFile(pskFile, Endpoint.CLIENT, username)
                        : certificates != null
                                ? TlsCredentials.x509(
                                        certificates, Endpoint.CLIENT, uri.verifyPeer())
                                : TlsCredentials.anonymous(uri.verifyPeer());
        return new ClientTls(credentials, true, uri.hostname());
    }

    /// An engine for one connection.
    ///
    /// @param address where the server is
    /// @throws IOException if the credentials cannot be read, and never could
    public SSLEngine newEngine(Address address) throws IOException {
        String host = address instanceof Address.Tcp(String name, _) ? name : null;
        return credentials.newEngine(hostname == null ? host : hostname);
    }

    /// The same for a server whose certificate is made out to another name.
    public ClientTls withHostname(@Nullable String name) {
        return new ClientTls(credentials, required, name);
    }
}
