package dev.lockstep.nbd.tls;

import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.X509Certificate;

/// Whether a private key is that of a certificate: what the one signs the other verifies.
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
        Signature signature = Signature.getInstance(algorithm(secret));
        signature.initSign(secret);
        signature.update(SAMPLE);
        byte[] signed = signature.sign();
        signature.initVerify(open);
        signature.update(SAMPLE);
        return signature.verify(signed);
    }

    private static String algorithm(PrivateKey key) {
        return switch (key.getAlgorithm()) {
            case "EC" -> "SHA256withECDSA";
            case "RSA" -> "SHA256withRSA";
            default -> key.getAlgorithm();
        };
    }
}
