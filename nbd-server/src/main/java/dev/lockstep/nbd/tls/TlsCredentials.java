package dev.lockstep.nbd.tls;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;

import javax.net.ssl.SSLEngine;

/// What one end of a connection shows, and what it demands of the other. The files are read at
/// first use, or by [#check]; when they change, the next handshake reads them again. If they cannot
/// be read any more, those read before stay in use and the log says so.
///
/// All methods may be called from any thread; those that throw may wait for the disk.
public sealed interface TlsCredentials permits X509Credentials, PskCredentials {
    /// The user's name of a client that gives none.
    String PSK_USERNAME_DEFAULT = "qemu";

    /// Which end of a connection they are for.
    enum Endpoint {
        /// Who is connected to.
        SERVER,
        /// Who connects.
        CLIENT
    }

    /// Certificates, in a folder as `tls-creds-x509` of QEMU and nbdkit have it: `ca-cert.pem`,
    /// `ca-crl.pem` if there are revoked ones, and `server-cert.pem` with `server-key.pem`, or
    /// `client-cert.pem` with `client-key.pem` if the client has one.
    ///
    /// @param verifyPeer whether the other end must show a certificate that the CA has signed
    static TlsCredentials x509(Path dir, Endpoint endpoint, boolean verifyPeer) {
        return x509(dir, endpoint, verifyPeer, null);
    }

    /// The same with a private key that may be encrypted, as PKCS#8 has it.
    ///
    /// @param password of the key, or null if it is not encrypted
    static TlsCredentials x509(
            Path dir, Endpoint endpoint, boolean verifyPeer, char @Nullable [] password) {
        return new X509Credentials(dir, endpoint, verifyPeer, password);
    }

    /// A client without a certificate of its own, which believes the JVM's certificate authorities.
    ///
    /// @param verifyPeer whether the server must show a certificate of one of them
    static TlsCredentials anonymous(boolean verifyPeer) {
        return new X509Credentials(null, Endpoint.CLIENT, verifyPeer, null);
    }

    /// Pre-shared keys, in the file `keys.psk` of a folder, as `tls-creds-psk` of QEMU has it.
    ///
    /// @param username which of the keys a client uses; a server takes any of them
    static TlsCredentials psk(Path dir, Endpoint endpoint, String username) {
        return pskFile(dir.resolve("keys.psk"), endpoint, username);
    }

    /// Pre-shared keys in a file of lines `USERNAME:HEXKEY`.
    ///
    /// @param username which of the keys a client uses; a server takes any of them
    static TlsCredentials pskFile(Path file, Endpoint endpoint, String username) {
        return new PskCredentials(file, endpoint, username);
    }

    /// Which end they are for.
    Endpoint endpoint();

    /// Reads the files, so that a mistake is found before the first handshake.
    ///
    /// @throws IOException with one sentence that names the file
    void check() throws IOException;

    /// An engine for one connection, in the mode of [#endpoint].
    ///
    /// @param host what the server's certificate must be made out to; null if any name will do.
    ///     Only a client with certificates that verifies its peer looks at it.
    /// @throws IOException if the files cannot be read, and never could
    SSLEngine newEngine(@Nullable String host) throws IOException;
}
