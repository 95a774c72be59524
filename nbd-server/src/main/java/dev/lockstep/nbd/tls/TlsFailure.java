package dev.lockstep.nbd.tls;

import io.netty.handler.ssl.NotSslRecordException;

import org.jspecify.annotations.Nullable;

import java.nio.channels.ClosedChannelException;
import java.security.cert.CertPathBuilderException;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.CertificateRevokedException;
import java.security.cert.PKIXReason;

/// Why a handshake failed, in words for people.
public final class TlsFailure {
    private static final String STRANGER =
            "the certificate is not signed by an authority that is trusted here";

    private static final String GONE = "the other side hung up";

    private TlsFailure() {}

    /// The innermost reason that people understand.
    public static String words(@Nullable Throwable failure) {
        String words = failure == null ? "" : String.valueOf(failure.getMessage());
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            words =
                    switch (cause) {
                        case CertificateExpiredException e ->
                                "the certificate has expired (%s)".formatted(e.getMessage());
                        case CertificateNotYetValidException e ->
                                "the certificate is not valid yet (%s)".formatted(e.getMessage());
                        case ClosedChannelException _ -> GONE;
                        // Its message has all that was received.
                        case NotSslRecordException _ -> "what came is no TLS";
                        case CertificateRevokedException _ -> "the certificate has been revoked";
                        case CertPathValidatorException e
                                when e.getReason()
                                        == CertPathValidatorException.BasicReason
                                                .UNDETERMINED_REVOCATION_STATUS ->
                                "no list in ca-crl.pem says whether the certificate was revoked";
                        case CertPathValidatorException e
                                when e.getReason() == PKIXReason.NO_TRUST_ANCHOR ->
                                STRANGER;
                        case CertPathBuilderException e when e.getCause() == null -> STRANGER;
                        default -> cause.getMessage() == null ? words : cause.getMessage();
                    };
        }
        return words;
    }
}
