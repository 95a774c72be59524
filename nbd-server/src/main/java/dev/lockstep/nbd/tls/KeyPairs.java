package dev.lockstep.nbd.tls;

import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.security.interfaces.RSAKey;

/// Whether a private key is that of a certificate.
final class KeyPairs {
    private static final byte[] SAMPLE = {1, 2, 3};

    private KeyPairs() {}

    static void requirePair(
            Path certificateFile, X509Certificate certificate, Path keyFile, PrivateKey key)
            throws IOException {
        try {
            if (isPair(certificate.getPublicKey(), key)) {
                return;
            }
        } catch (GeneralSecurityException e) {
            throw new IOException(
                    "the key in %s cannot be used: %s".formatted(keyFile, e.getMessage()), e);
        }
        throw new IOException(
                "the key in %s does not belong to the certificate in %s"
                        .formatted(keyFile, certificateFile));
    }

    private static boolean isPair(PublicKey open, PrivateKey secret)
            throws GeneralSecurityException {
        if (!open.getAlgorithm().equals(secret.getAlgorithm())) {
            return false;
        }
        if (open instanceof RSAKey one && secret instanceof RSAKey other) {
            return one.getModulus().equals(other.getModulus());
        }
        Signature signature =
                Signature.getInstance(
                        secret.getAlgorithm().equals("EC") ? "SHA256withECDSA" : "EdDSA");
        signature.initSign(secret);
        signature.update(SAMPLE);
        byte[] signed = signature.sign();
        signature.initVerify(open);
        signature.update(SAMPLE);
        return signature.verify(signed);
    }
}
