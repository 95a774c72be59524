package dev.lockstep.nbd.tls;

import org.bouncycastle.asn1.x500.AttributeTypeAndValue;
import org.bouncycastle.asn1.x500.RDN;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.style.IETFUtils;

import java.util.Arrays;
import java.util.Map;
import java.util.stream.Collectors;

import javax.security.auth.x500.X500Principal;

/// Writes a distinguished name as GnuTLS does, and so as QEMU's rules of authorization expect it:
/// the notation of RFC 4514, but in the order in which the certificate has the parts.
final class DistinguishedName {
    /// The names that GnuTLS has for types of attributes; others are written as numbers.
    private static final Map<String, String> NAMES =
            Map.ofEntries(
                    Map.entry("2.5.4.3", "CN"),
                    Map.entry("2.5.4.4", "surName"),
                    Map.entry("2.5.4.5", "serialNumber"),
                    Map.entry("2.5.4.6", "C"),
                    Map.entry("2.5.4.7", "L"),
                    Map.entry("2.5.4.8", "ST"),
                    Map.entry("2.5.4.9", "street"),
                    Map.entry("2.5.4.10", "O"),
                    Map.entry("2.5.4.11", "OU"),
                    Map.entry("2.5.4.12", "title"),
                    Map.entry("2.5.4.17", "postalCode"),
                    Map.entry("2.5.4.20", "telephoneNumber"),
                    Map.entry("2.5.4.41", "name"),
                    Map.entry("2.5.4.42", "givenName"),
                    Map.entry("2.5.4.43", "initials"),
                    Map.entry("2.5.4.46", "dnQualifier"),
                    Map.entry("2.5.4.65", "pseudonym"),
                    Map.entry("0.9.2342.19200300.100.1.1", "UID"),
                    Map.entry("0.9.2342.19200300.100.1.25", "DC"),
                    Map.entry("1.2.840.113549.1.9.1", "EMAIL"));

    private DistinguishedName() {}

    static String format(X500Principal principal) {
        return Arrays.stream(X500Name.getInstance(principal.getEncoded()).getRDNs())
                .map(DistinguishedName::format)
                .collect(Collectors.joining(","));
    }

    private static String format(RDN part) {
        return Arrays.stream(part.getTypesAndValues())
                .map(DistinguishedName::format)
                .collect(Collectors.joining("+"));
    }

    private static String format(AttributeTypeAndValue attribute) {
        String type = attribute.getType().getId();
        return NAMES.getOrDefault(type, type) + "=" + IETFUtils.valueToString(attribute.getValue());
    }
}
