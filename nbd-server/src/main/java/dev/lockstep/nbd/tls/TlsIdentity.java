package dev.lockstep.nbd.tls;

import java.security.Principal;

import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.security.auth.x500.X500Principal;

/// Who is at the other end.
public final class TlsIdentity {
    private TlsIdentity() {}

    /// What a handshake that has ended proved of the peer: the distinguished name of its
    /// certificate or the name of its key's user. Empty if it did not have to prove anything.
    public static String of(SSLEngine engine) {
        try {
            Principal peer = engine.getSession().getPeerPrincipal();
            return peer instanceof X500Principal name
                    ? DistinguishedName.format(name)
                    : peer.getName();
        } catch (SSLPeerUnverifiedException _) {
            return "";
        }
    }
}
