package dev.lockstep.nbd.tls;

import org.bouncycastle.tls.BasicTlsPSKExternal;
import org.bouncycastle.tls.BasicTlsPSKIdentity;
import org.bouncycastle.tls.CipherSuite;
import org.bouncycastle.tls.PRFAlgorithm;
import org.bouncycastle.tls.PSKTlsClient;
import org.bouncycastle.tls.PSKTlsServer;
import org.bouncycastle.tls.ProtocolVersion;
import org.bouncycastle.tls.PskIdentity;
import org.bouncycastle.tls.TlsClientProtocol;
import org.bouncycastle.tls.TlsPSKExternal;
import org.bouncycastle.tls.TlsPSKIdentityManager;
import org.bouncycastle.tls.TlsServerProtocol;
import org.bouncycastle.tls.TlsUtils;
import org.bouncycastle.tls.crypto.TlsCrypto;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsCryptoProvider;
import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.List;
import java.util.Map;
import java.util.Vector;

import javax.net.ssl.SSLEngine;

/// The two ends of TLS with pre-shared keys: which versions and ciphers are spoken, and which key
/// is used.
final class PskPeers {
    /// Authenticated encryption alone; with forward secrecy first. In TLS 1.3 a key that is given
    /// from outside goes with SHA-256, and so with the suites that use it (RFC 8446, 4.2.11).
    private static final int[] CIPHER_SUITES = {
        CipherSuite.TLS_AES_128_GCM_SHA256,
        CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
        CipherSuite.TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384,
        CipherSuite.TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256,
        CipherSuite.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite.TLS_DHE_PSK_WITH_AES_256_GCM_SHA384,
        CipherSuite.TLS_DHE_PSK_WITH_AES_128_GCM_SHA256,
        CipherSuite.TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite.TLS_PSK_WITH_AES_256_GCM_SHA384,
        CipherSuite.TLS_PSK_WITH_AES_128_GCM_SHA256,
        CipherSuite.TLS_PSK_WITH_CHACHA20_POLY1305_SHA256,
    };

    private static final ProtocolVersion[] VERSIONS =
            ProtocolVersion.TLSv13.downTo(ProtocolVersion.TLSv12);

    private static final TlsCrypto CRYPTO = new JcaTlsCryptoProvider().create(new SecureRandom());

    private PskPeers() {}

    static SSLEngine client(String username, byte[] key) {
        PskSession session = new PskSession();
        return new PskEngine(
                true,
                session,
                () -> {
                    TlsClientProtocol protocol = new TlsClientProtocol();
                    protocol.connect(new Client(session, username, key));
                    return protocol;
                });
    }

    static SSLEngine server(Map<String, byte[]> keys) {
        PskSession session = new PskSession();
        return new PskEngine(
                false,
                session,
                () -> {
                    TlsServerProtocol protocol = new TlsServerProtocol();
                    protocol.accept(new Server(session, keys));
                    return protocol;
                });
    }

    private static TlsPSKExternal external(byte[] identity, byte[] key) {
        return new BasicTlsPSKExternal(
                identity, CRYPTO.createSecret(key.clone()), PRFAlgorithm.tls13_hkdf_sha256);
    }

    private static int[] supportedCipherSuites() {
        return TlsUtils.getSupportedCipherSuites(CRYPTO, CIPHER_SUITES);
    }

    /// Who connects.
    private static final class Client extends PSKTlsClient {
        private final PskSession session;
        private final String username;
        private final byte[] key;

        Client(PskSession session, String username, byte[] key) {
            super(
                    CRYPTO,
                    new BasicTlsPSKIdentity(
                            username.getBytes(StandardCharsets.UTF_8), key.clone()));
            this.session = session;
            this.username = username;
            this.key = key;
        }

        @Override
        protected ProtocolVersion[] getSupportedVersions() {
            return VERSIONS;
        }

        @Override
        protected int[] getSupportedCipherSuites() {
            return supportedCipherSuites();
        }

        @Override
        public Vector<TlsPSKExternal> getExternalPSKs() {
            return new Vector<>(List.of(external(username.getBytes(StandardCharsets.UTF_8), key)));
        }

        @Override
        public void notifyHandshakeComplete() {
            session.uses(username);
        }
    }

    /// Who is connected to.
    private static final class Server extends PSKTlsServer {
        private final PskSession session;
        private final Keys keys;

        Server(PskSession session, Map<String, byte[]> keys) {
            this(session, new Keys(keys));
        }

        private Server(PskSession session, Keys keys) {
            super(CRYPTO, keys);
            this.session = session;
            this.keys = keys;
        }

        @Override
        protected ProtocolVersion[] getSupportedVersions() {
            return VERSIONS;
        }

        @Override
        protected int[] getSupportedCipherSuites() {
            return supportedCipherSuites();
        }

        @Override
        @SuppressWarnings("rawtypes") // as it is inherited
        public @Nullable TlsPSKExternal getExternalPSK(Vector identities) {
            for (Object offered : identities) {
                byte[] identity = ((PskIdentity) offered).getIdentity();
                byte[] key = keys.getPSK(identity);
                if (key != null) {
                    return external(identity, key);
                }
            }
            return null;
        }

        @Override
        public void notifyHandshakeComplete() {
            String used = keys.used;
            if (used != null) {
                session.uses(used);
            }
        }
    }

    /// A server's keys, and which of them a handshake came to.
    private static final class Keys implements TlsPSKIdentityManager {
        private final Map<String, byte[]> keys;
        private @Nullable String used;

        Keys(Map<String, byte[]> keys) {
            this.keys = keys;
        }

        @Override
        public byte @Nullable [] getHint() {
            return null;
        }

        @Override
        public byte @Nullable [] getPSK(byte[] identity) {
            String username = new String(identity, StandardCharsets.UTF_8);
            byte[] key = keys.get(username);
            if (key != null) {
                used = username;
            }
            return key == null ? null : key.clone();
        }
    }
}
