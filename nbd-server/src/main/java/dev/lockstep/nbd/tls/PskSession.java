package dev.lockstep.nbd.tls;

import org.jspecify.annotations.Nullable;

import java.security.Principal;
import java.security.cert.Certificate;

import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSessionContext;

/// What is to be known of one [PskEngine]'s session. It is never resumed, and keeps no values.
final class PskSession implements SSLSession {
    private volatile @Nullable String username;

    /// Notes which key the peer has proved to know.
    void uses(String provenUsername) {
        username = provenUsername;
    }

    @Override
    public Principal getPeerPrincipal() throws SSLPeerUnverifiedException {
        String known = username;
        if (known == null) {
            throw new SSLPeerUnverifiedException("the handshake has not ended");
        }
        return new User(known);
    }

    /// The user of a key.
    private record User(String name) implements Principal {
        @Override
        public String getName() {
            return name;
        }
    }

    @Override
    public int getPacketBufferSize() {
        return TlsRecord.BYTES_MAX;
    }

    @Override
    public int getApplicationBufferSize() {
        return TlsRecord.PLAINTEXT_BYTES_MAX;
    }

    @Override
    public Certificate[] getPeerCertificates() throws SSLPeerUnverifiedException {
        throw new SSLPeerUnverifiedException("pre-shared keys are used without certificates");
    }

    @Override
    public Certificate @Nullable [] getLocalCertificates() {
        return null;
    }

    @Override
    public @Nullable Principal getLocalPrincipal() {
        return null;
    }

    @Override
    public byte[] getId() {
        return new byte[0];
    }

    @Override
    public @Nullable SSLSessionContext getSessionContext() {
        return null;
    }

    @Override
    public long getCreationTime() {
        return 0;
    }

    @Override
    public long getLastAccessedTime() {
        return 0;
    }

    @Override
    public void invalidate() {}

    @Override
    public boolean isValid() {
        return false;
    }

    @Override
    public void putValue(String name, Object value) {}

    @Override
    public @Nullable Object getValue(String name) {
        return null;
    }

    @Override
    public void removeValue(String name) {}

    @Override
    public String[] getValueNames() {
        return new String[0];
    }

    @Override
    public String getCipherSuite() {
        return "pre-shared key";
    }

    @Override
    public String getProtocol() {
        return "TLS";
    }

    @Override
    public @Nullable String getPeerHost() {
        return null;
    }

    @Override
    public int getPeerPort() {
        return -1;
    }
}
