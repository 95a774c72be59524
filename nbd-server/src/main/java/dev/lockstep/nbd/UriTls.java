package dev.lockstep.nbd;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;

/// What an `nbds` URI says about TLS. The parameters are those of the NBD project's URI document
/// and, for the files, of libnbd.
///
/// @param certificates `tls-certificates`: the folder with `ca-cert.pem` and, for a client that has
///     one, `client-cert.pem` and `client-key.pem`
/// @param pskFile `tls-psk-file`: the file with pre-shared keys, which are used if it is given
/// @param username `tls-username`, or what precedes the `@`: whose key to use; null is the user who
///     runs the client
/// @param hostname `tls-hostname`: what the server's certificate is made out to
/// @param verifyPeer `tls-verify-peer`: whether to look at that certificate
public record UriTls(
        @Nullable Path certificates,
        @Nullable Path pskFile,
        @Nullable String username,
        @Nullable String hostname,
        boolean verifyPeer) {
    /// What `nbds://HOST` says.
    public static final UriTls DEFAULT = new UriTls(null, null, null, null, true);
}
