package dev.lockstep.nbd.tls;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.CertPathBuilder;
import java.security.cert.CertStore;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;

import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;

/// Certificates in a folder. See [TlsCredentials#x509].
final class X509Credentials implements TlsCredentials {
    private static final String[] PROTOCOLS = {"TLSv1.3", "TLSv1.2"};

    /// Key stores want passwords; these never leave memory.
    private static final char[] NO_PASSWORD = {};

    private final @Nullable Path dir;
    private final Endpoint endpoint;
    private final boolean verifyPeer;
    private final char @Nullable [] password;
    private final ReloadedFiles<SSLContext> context;

    X509Credentials(
            @Nullable Path dir, Endpoint endpoint, boolean verifyPeer, char @Nullable [] password) {
        this.dir = dir;
        this.endpoint = endpoint;
        this.verifyPeer = verifyPeer;
        this.password = password;
        this.context =
                dir == null
                        ? new ReloadedFiles<>(List.of(), this::loadAnonymous)
                        : new ReloadedFiles<>(
                                List.of(
                                        dir.resolve("ca-cert.pem"),
                                        dir.resolve("ca-crl.pem"),
                                        own(dir, "cert"),
                                        own(dir, "key")),
                                () -> load(dir));
    }

    @Override
    public Endpoint endpoint() {
        return endpoint;
    }

    @Override
    public void check() throws IOException {
        context.current();
    }

    @Override
    public SSLEngine newEngine(@Nullable String host) throws IOException {
        SSLContext current = context.current();
        boolean client = endpoint == Endpoint.CLIENT;
        SSLEngine engine =
                host == null ? current.createSSLEngine() : current.createSSLEngine(host, -1);
        engine.setUseClientMode(client);
        SSLParameters parameters = engine.getSSLParameters();
        parameters.setProtocols(PROTOCOLS);
        if (client && verifyPeer && host != null) {
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
        }
        if (!client) {
            parameters.setNeedClientAuth(verifyPeer);
        }
        engine.setSSLParameters(parameters);
        return new HeapEngine(engine);
    }

    @Override
    public String toString() {
        return "certificates" + (dir == null ? "" : " in " + dir);
    }

    private Path own(Path folder, String what) {
        return folder.resolve(
                "%s-%s.pem".formatted(endpoint.name().toLowerCase(Locale.ROOT), what));
    }

    private SSLContext loadAnonymous() throws IOException {
        return context(null, verifyPeer ? null : new TrustManager[] {new TrustsAnyone()});
    }

    private SSLContext load(Path folder) throws IOException {
        KeyManager[] keys = null;
        if (endpoint == Endpoint.SERVER
                || Files.exists(own(folder, "cert"))
                || Files.exists(own(folder, "key"))) {
            keys = keys(own(folder, "cert"), own(folder, "key"));
        }
        TrustManager[] trust = {new TrustsAnyone()};
        if (verifyPeer) {
            trust = trust(folder.resolve("ca-cert.pem"), folder.resolve("ca-crl.pem"));
        }
        return context(keys, trust);
    }

    private static SSLContext context(KeyManager @Nullable [] keys, TrustManager @Nullable [] trust)
            throws IOException {
        try {
            SSLContext made = SSLContext.getInstance("TLS");
            made.init(keys, trust, null);
            return made;
        } catch (GeneralSecurityException e) {
            throw new IOException("TLS is not available: " + e.getMessage(), e);
        }
    }

    private KeyManager[] keys(Path certificateFile, Path keyFile) throws IOException {
        List<X509Certificate> chain = Pem.certificates(certificateFile);
        PrivateKey key = Pem.privateKey(keyFile, password);
        KeyPairs.requirePair(certificateFile, chain.getFirst(), keyFile, key);
        try {
            KeyStore store = emptyStore();
            store.setKeyEntry("own", key, NO_PASSWORD, chain.toArray(X509Certificate[]::new));
            KeyManagerFactory factory =
                    KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            factory.init(store, NO_PASSWORD);
            return factory.getKeyManagers();
        } catch (GeneralSecurityException e) {
            throw new IOException(
                    "the certificate in %s cannot be used: %s"
                            .formatted(certificateFile, e.getMessage()),
                    e);
        }
    }

    /// Certificates are compared with revocation lists only where there is a list, and then every
    /// one must be covered by it.
    private static TrustManager[] trust(Path authorities, Path revoked) throws IOException {
        try {
            KeyStore store = emptyStore();
            int number = 0;
            for (X509Certificate authority : Pem.certificates(authorities)) {
                store.setCertificateEntry("ca" + number++, authority);
            }
            PKIXBuilderParameters parameters =
                    new PKIXBuilderParameters(store, new X509CertSelector());
            parameters.setRevocationEnabled(false);
            if (Files.exists(revoked)) {
                parameters.addCertStore(
                        CertStore.getInstance(
                                "Collection",
                                new CollectionCertStoreParameters(Pem.revocations(revoked))));
                PKIXRevocationChecker checker =
                        (PKIXRevocationChecker)
                                CertPathBuilder.getInstance("PKIX").getRevocationChecker();
                checker.setOptions(
                        EnumSet.of(
                                PKIXRevocationChecker.Option.PREFER_CRLS,
                                PKIXRevocationChecker.Option.NO_FALLBACK));
                parameters.addCertPathChecker(checker);
            }
            TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
            factory.init(new CertPathTrustManagerParameters(parameters));
            return factory.getTrustManagers();
        } catch (GeneralSecurityException e) {
            throw new IOException(
                    "the certificates in %s cannot be used: %s"
                            .formatted(authorities, e.getMessage()),
                    e);
        }
    }

    private static KeyStore emptyStore() throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, NO_PASSWORD);
        return store;
    }
}
