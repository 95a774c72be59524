package dev.lockstep.nbd.tls;

import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.pkcs.RSAPrivateKey;
import org.bouncycastle.asn1.sec.ECPrivateKey;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;
import org.bouncycastle.util.io.pem.PemObject;
import org.bouncycastle.util.io.pem.PemReader;
import org.jspecify.annotations.Nullable;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CRL;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

import javax.crypto.Cipher;
import javax.crypto.EncryptedPrivateKeyInfo;
import javax.crypto.SecretKey;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.PBEKeySpec;

/// Reads PEM files: certificates, revocation lists and private keys. Every error is one sentence
/// that names the file.
final class Pem {
    private static final ASN1ObjectIdentifier RSA = PKCSObjectIdentifiers.rsaEncryption;
    private static final ASN1ObjectIdentifier RSA_PSS = PKCSObjectIdentifiers.id_RSASSA_PSS;
    private static final ASN1ObjectIdentifier EC = X9ObjectIdentifiers.id_ecPublicKey;

    private Pem() {}

    /// The certificates of a file, in their order, at least one.
    static List<X509Certificate> certificates(Path file) throws IOException {
        try (InputStream in = new ByteArrayInputStream(bytes(file))) {
            List<X509Certificate> found = new ArrayList<>();
            factory()
                    .generateCertificates(in)
                    .forEach(certificate -> found.add((X509Certificate) certificate));
            if (found.isEmpty()) {
                throw new IOException("the file %s holds no certificate".formatted(file));
            }
            return found;
        } catch (CertificateException e) {
            throw new IOException(
                    "the file %s holds no usable certificate: %s".formatted(file, e.getMessage()),
                    e);
        }
    }

    /// The revocation lists of a file.
    static Collection<? extends CRL> revocations(Path file) throws IOException {
        try (InputStream in = new ByteArrayInputStream(bytes(file))) {
            return factory().generateCRLs(in);
        } catch (GeneralSecurityException e) {
            throw new IOException(
                    "the file %s holds no usable revocation list: %s"
                            .formatted(file, e.getMessage()),
                    e);
        }
    }

    /// The first private key of a file: RSA, EC or Ed25519, in PKCS#8, or in the older forms that
    /// OpenSSL and GnuTLS write for RSA and EC.
    ///
    /// @param password of the key, or null if it is not encrypted
    static PrivateKey privateKey(Path file, char @Nullable [] password) throws IOException {
        byte[] text = bytes(file);
        try (PemReader reader =
                new PemReader(
                        new BufferedReader(
                                new InputStreamReader(
                                        new ByteArrayInputStream(text),
                                        StandardCharsets.US_ASCII)))) {
            for (PemObject part = reader.readPemObject();
                    part != null;
                    part = reader.readPemObject()) {
                if (part.getType().endsWith("PRIVATE KEY")) {
                    return privateKey(file, part, password);
                }
            }
        } catch (GeneralSecurityException | IllegalArgumentException | IllegalStateException e) {
            throw new IOException(
                    "the file %s holds no usable private key: %s".formatted(file, e.getMessage()),
                    e);
        }
        throw new IOException("the file %s holds no private key".formatted(file));
    }

    private static PrivateKey privateKey(Path file, PemObject part, char @Nullable [] password)
            throws IOException, GeneralSecurityException {
        if (!part.getHeaders().isEmpty()) {
            throw new IOException(
                    "the private key in %s is encrypted in a form of before PKCS#8: rewrite it"
                                    .formatted(file)
                            + " with openssl pkcs8 -topk8");
        }
        PrivateKeyInfo info =
                switch (part.getType()) {
                    case "PRIVATE KEY" -> PrivateKeyInfo.getInstance(part.getContent());
                    case "ENCRYPTED PRIVATE KEY" ->
                            PrivateKeyInfo.getInstance(
                                    decrypted(file, part.getContent(), password));
                    case "RSA PRIVATE KEY" ->
                            new PrivateKeyInfo(
                                    new AlgorithmIdentifier(RSA, DERNull.INSTANCE),
                                    RSAPrivateKey.getInstance(part.getContent()));
                    case "EC PRIVATE KEY" -> {
                        ECPrivateKey key = ECPrivateKey.getInstance(part.getContent());
                        yield new PrivateKeyInfo(
                                new AlgorithmIdentifier(EC, key.getParametersObject()), key);
                    }
                    default ->
                            throw new IOException(
                                    "the file %s holds a key of the unknown form '%s'"
                                            .formatted(file, part.getType()));
                };
        ASN1ObjectIdentifier kind = info.getPrivateKeyAlgorithm().getAlgorithm();
        String algorithm =
                kind.equals(RSA)
                        ? "RSA"
                        : kind.equals(RSA_PSS) ? "RSASSA-PSS" : kind.equals(EC) ? "EC" : "EdDSA";
        return KeyFactory.getInstance(algorithm)
                .generatePrivate(new PKCS8EncodedKeySpec(info.getEncoded()));
    }

    /// A key in PKCS#8 out of an encrypted one.
    private static byte[] decrypted(Path file, byte[] encrypted, char @Nullable [] password)
            throws IOException, GeneralSecurityException {
        if (password == null) {
            throw new IOException(
                    "the private key in %s is encrypted: its password is missing".formatted(file));
        }
        EncryptedPrivateKeyInfo info = new EncryptedPrivateKeyInfo(encrypted);
        AlgorithmParameters parameters = info.getAlgParameters();
        boolean general =
                info.getAlgName().equals("PBES2")
                        || info.getAlgName().startsWith("1.2.840.113549.1.5.13");
        String algorithm = general ? parameters.toString() : info.getAlgName();
        Cipher cipher = Cipher.getInstance(algorithm);
        SecretKey key =
                SecretKeyFactory.getInstance(algorithm).generateSecret(new PBEKeySpec(password));
        cipher.init(Cipher.DECRYPT_MODE, key, parameters);
        try {
            return info.getKeySpec(cipher).getEncoded();
        } catch (InvalidKeySpecException e) {
            throw new IOException("the password of %s is wrong".formatted(file), e);
        }
    }

    static byte[] bytes(Path file) throws IOException {
        try {
            return Files.readAllBytes(file);
        } catch (NoSuchFileException e) {
            throw new IOException("there is no file %s, which TLS needs".formatted(file), e);
        } catch (IOException e) {
            throw new IOException("the file %s cannot be read: %s".formatted(file, reason(e)), e);
        }
    }

    private static String reason(IOException e) {
        return e instanceof AccessDeniedException
                ? "permission denied"
                : String.valueOf(e.getMessage());
    }

    private static CertificateFactory factory() throws CertificateException {
        return CertificateFactory.getInstance("X.509");
    }
}
