package dev.lockstep.colo;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.UriTls;
import dev.lockstep.nbd.server.ServerOptions;
import dev.lockstep.nbd.tls.ClientTls;
import dev.lockstep.nbd.tls.ServerTls;
import dev.lockstep.nbd.tls.TlsCredentials;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;

/// How the sides of a pair, and those who ask them, speak TLS: everything on TCP does, nothing on a
/// Unix socket, which the file system protects. Both ends prove who they are, with certificates of
/// the same authority or with the same key.
///
/// @param server what a side shows to those who connect to it; null is no TLS
/// @param client what a side shows to its peer; null exactly if `server` is
/// @param hostname what the peer's certificate is made out to; null is the host connected to
public record PairTls(
        @Nullable TlsCredentials server,
        @Nullable TlsCredentials client,
        @Nullable String hostname) {
    /// No TLS.
    public static final PairTls NONE = new PairTls(null, null, null);

    /// With the certificates of a folder: `ca-cert.pem`, `server-cert.pem`, `server-key.pem`,
    /// `client-cert.pem` and `client-key.pem`.
    public static PairTls certificates(Path dir, @Nullable String hostname) {
        return new PairTls(
                TlsCredentials.x509(dir, Endpoint.SERVER, true),
                TlsCredentials.x509(dir, Endpoint.CLIENT, true),
                hostname);
    }

    /// With the keys of a file of lines `USERNAME:HEXKEY`.
    ///
    /// @param username which of them to use towards the peer
    public static PairTls preSharedKeys(Path file, String username) {
        return new PairTls(
                TlsCredentials.pskFile(file, Endpoint.SERVER, username),
                TlsCredentials.pskFile(file, Endpoint.CLIENT, username),
                null);
    }

    /// Whether there is TLS at all.
    public boolean isOn() {
        return server != null;
    }

    /// Reads the files of a side.
    ///
    /// @throws IOException with one sentence that names the file that is wrong
    public void check() throws IOException {
        if (server != null && client != null) {
            server.check();
            client.check();
        }
    }

    /// For who listens on an address.
    public @Nullable ServerTls server(Address address) {
        return server != null && address instanceof Address.Tcp ? ServerTls.required(server) : null;
    }

    /// For an NBD server on an address.
    public ServerOptions serverOptions(Address address) {
        return ServerOptions.DEFAULT.withTls(server(address));
    }

    /// For who connects to an address.
    public @Nullable ClientTls client(Address address) {
        return client != null && address instanceof Address.Tcp
                ? ClientTls.required(client).withHostname(hostname)
                : null;
    }

    /// What a URI of this side's export says of TLS.
    public @Nullable UriTls uri(Address address) {
        return server(address) == null ? null : UriTls.DEFAULT;
    }
}
