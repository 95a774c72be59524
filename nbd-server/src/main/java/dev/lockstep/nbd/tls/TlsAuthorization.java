package dev.lockstep.nbd.tls;

/// Which clients a server lets in, by the identity that TLS has proved: the distinguished name of a
/// certificate as GnuTLS writes it, or the name of a pre-shared key's user.
public interface TlsAuthorization {
    /// Whoever the credentials admit.
    TlsAuthorization ANYONE = _ -> true;

    /// Answers from memory.
    boolean allows(String identity);

    /// Exactly one identity, as QEMU's `authz-simple`.
    static TlsAuthorization only(String identity) {
        return identity::equals;
    }
}
