package dev.lockstep.nbd.tls;

import java.security.cert.X509Certificate;

import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLPeerUnverifiedException;

/// Who is at the other end.
public final class TlsIdentity {
    private TlsIdentity() {}

    /// What a handshake that has ended proved of the peer: the distinguished name of its
    /// certificate or the name of its key's user. Empty if it did not have to prove anything.
    public static String of(SSLEngine engine) {
        try {
            return engine.getSession().getPeerCertificates()[0]
                            instanceof X509Certificate certificate
                    ? DistinguishedName.format(certificate.getSubjectX500Principal())
                    : "";
        } catch (SSLPeerUnverifiedException _) {
            return "";
        }
    }
}
