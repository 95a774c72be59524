package dev.lockstep.nbd;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// Names an export of a server: `nbd://HOST[:PORT]/EXPORT` or `nbd+unix:///EXPORT?socket=PATH`, as
/// the NBD project's URI document defines it; with `nbds` in place of `nbd`, through TLS.
///
/// @param address where the server listens
/// @param export the export's name; empty for the server's default one
/// @param tls how TLS is spoken, or null where it is not
public record NbdUri(Address address, String export, @Nullable UriTls tls) {
    private static final String TCP_SCHEME = "nbd";
    private static final String UNIX_SCHEME = "nbd+unix";
    private static final String TCP_TLS_SCHEME = "nbds";
    private static final String UNIX_TLS_SCHEME = "nbds+unix";

    /// The characters that RFC 3986 never requires to be encoded.
    private static final String UNRESERVED =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    /// Checks the export's name.
    public NbdUri {
        int bytes = export.getBytes(StandardCharsets.UTF_8).length;
        if (bytes > NbdProtocol.STRING_BYTES_MAX || export.indexOf('\0') >= 0) {
            throw new IllegalArgumentException(
                    "an export's name has at most %d bytes and no NUL"
                            .formatted(NbdProtocol.STRING_BYTES_MAX));
        }
    }

    /// An export that is used without TLS.
    public NbdUri(Address address, String export) {
        this(address, export, null);
    }

    /// Reads a URI.
    ///
    /// @throws IllegalArgumentException if it is none or asks for what we cannot do, with one
    ///     sentence that says so
    public static NbdUri parse(String text) {
        int colon = text.indexOf("://");
        if (colon < 0) {
            throw malformed(text, "it does not begin with nbd:// or nbd+unix://");
        }
        String scheme = text.substring(0, colon).toLowerCase(Locale.ROOT);
        if (scheme.endsWith("+vsock")) {
            throw malformed(
                    text, "vsock is not spoken here: reach the server over TCP or a Unix socket");
        }
        String rest = text.substring(colon + "://".length());
        if (rest.indexOf('#') >= 0) {
            throw malformed(text, "an NBD URI has no '#' part");
        }
        int question = rest.indexOf('?');
        String query = question < 0 ? "" : rest.substring(question + 1);
        String place = question < 0 ? rest : rest.substring(0, question);
        int slash = place.indexOf('/');
        String authority = slash < 0 ? place : place.substring(0, slash);
        String export = slash < 0 ? "" : decode(text, place.substring(slash + 1));
        int at = authority.lastIndexOf('@');
        String user = at < 0 ? "" : decode(text, authority.substring(0, at));
        String host = authority.substring(at + 1);
        Map<String, String> parameters = parameters(text, query);
        String socket = parameters.remove("socket");
        UriTls tls =
                switch (scheme) {
                    case TCP_SCHEME, UNIX_SCHEME -> null;
                    case TCP_TLS_SCHEME, UNIX_TLS_SCHEME -> tls(text, user, parameters);
                    default ->
                            throw malformed(text, "it does not begin with nbd:// or nbd+unix://");
                };
        if (!parameters.isEmpty()) {
            String name = parameters.keySet().iterator().next();
            throw malformed(
                    text,
                    name.startsWith("tls-")
                            ? "the parameter '%s' belongs to the scheme nbds".formatted(name)
                            : "the parameter '%s' is not known".formatted(name));
        }
        if (scheme.equals(UNIX_SCHEME) || scheme.equals(UNIX_TLS_SCHEME)) {
            return new NbdUri(unix(text, host, socket), export, tls);
        }
        if (socket != null) {
            throw malformed(text, "a socket belongs to the scheme nbd+unix");
        }
        return new NbdUri(tcp(text, host), export, tls);
    }

    /// Takes the parameters about TLS out of all there are.
    private static UriTls tls(String text, String user, Map<String, String> parameters) {
        String type = parameters.remove("tls-type");
        String certificates = parameters.remove("tls-certificates");
        String pskFile = parameters.remove("tls-psk-file");
        String username = parameters.remove("tls-username");
        String hostname = parameters.remove("tls-hostname");
        String verify = parameters.remove("tls-verify-peer");
        if (type != null && !type.equals(pskFile == null ? "x509" : "psk")) {
            throw malformed(text, "tls-type is x509, or psk with the parameter tls-psk-file=FILE");
        }
        if (certificates != null && pskFile != null) {
            throw malformed(text, "give one of tls-certificates and tls-psk-file");
        }
        if (verify != null && !verify.matches("0|1|false|true|no|yes")) {
            throw malformed(text, "tls-verify-peer is 0 or 1");
        }
        return new UriTls(
                certificates == null ? null : Path.of(certificates),
                pskFile == null ? null : Path.of(pskFile),
                username != null ? username : user.isEmpty() ? null : user,
                hostname,
                verify == null || verify.matches("1|true|yes"));
    }

    private static Map<String, String> parameters(String text, String query) {
        Map<String, String> found = new LinkedHashMap<>();
        for (String parameter : query.split("&", -1)) {
            int equals = parameter.indexOf('=');
            if (equals > 0) {
                String name = parameter.substring(0, equals);
                if (found.put(name, decode(text, parameter.substring(equals + 1))) != null) {
                    throw malformed(text, "the parameter '%s' is there twice".formatted(name));
                }
            } else if (!parameter.isEmpty()) {
                throw malformed(text, "the parameter '%s' is not known".formatted(parameter));
            }
        }
        return found;
    }

    /// Returns the URI in the form that [#parse] and other NBD programs read.
    public String format() {
        List<String> parameters = new ArrayList<>();
        String place =
                switch (address) {
                    case Address.Unix(Path path) -> {
                        add(parameters, "socket", path);
                        yield tls == null ? UNIX_SCHEME + "://" : UNIX_TLS_SCHEME + "://";
                    }
                    case Address.Tcp tcp ->
                            (tls == null ? TCP_SCHEME : TCP_TLS_SCHEME) + "://" + tcp;
                };
        if (tls != null) {
            add(parameters, "tls-certificates", tls.certificates());
            add(parameters, "tls-psk-file", tls.pskFile());
            add(parameters, "tls-username", tls.username());
            add(parameters, "tls-hostname", tls.hostname());
            add(parameters, "tls-verify-peer", tls.verifyPeer() ? null : "0");
        }
        String query = parameters.isEmpty() ? "" : "?" + String.join("&", parameters);
        return place + "/" + encode(export, "/") + query;
    }

    private static void add(List<String> parameters, String name, @Nullable Object value) {
        if (value != null) {
            parameters.add(name + "=" + encode(value.toString(), "/"));
        }
    }

    @Override
    public String toString() {
        return format();
    }

    private static Address tcp(String text, String hostAndPort) {
        if (hostAndPort.isEmpty()) {
            return new Address.Tcp("localhost", NbdProtocol.DEFAULT_PORT);
        }
        boolean hasPort = hostAndPort.lastIndexOf(':') > hostAndPort.lastIndexOf(']');
        try {
            return Address.parse(
                    hasPort ? hostAndPort : hostAndPort + ":" + NbdProtocol.DEFAULT_PORT);
        } catch (IllegalArgumentException e) {
            throw malformed(text, String.valueOf(e.getMessage()));
        }
    }

    private static Address unix(String text, String host, @Nullable String socket) {
        if (!host.isEmpty()) {
            throw malformed(text, "nbd+unix has no host: write nbd+unix:///EXPORT?socket=PATH");
        }
        if (socket == null || socket.isEmpty()) {
            throw malformed(text, "the parameter socket=PATH is missing");
        }
        if (socket.startsWith("\0")) {
            throw malformed(text, "sockets in the abstract namespace are not supported");
        }
        return new Address.Unix(Path.of(socket));
    }

    private static String decode(String text, String encoded) {
        byte[] bytes = encoded.getBytes(StandardCharsets.UTF_8);
        ByteArrayOutputStream decoded = new ByteArrayOutputStream(bytes.length);
        for (int i = 0; i < bytes.length; i++) {
            if (bytes[i] != '%') {
                decoded.write(bytes[i]);
                continue;
            }
            int high = i + 2 < bytes.length ? Character.digit(bytes[i + 1], 16) : -1;
            int low = i + 2 < bytes.length ? Character.digit(bytes[i + 2], 16) : -1;
            if (high < 0 || low < 0) {
                throw malformed(text, "a '%' is followed by two hexadecimal digits");
            }
            decoded.write(high << 4 | low);
            i += 2;
        }
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(decoded.toByteArray()))
                    .toString();
        } catch (CharacterCodingException _) {
            throw malformed(text, "it is not UTF-8");
        }
    }

    /// Leaves RFC 3986's unreserved characters and those in `safe`, and writes every other byte as
    /// `%XX`.
    private static String encode(String plain, String safe) {
        StringBuilder encoded = new StringBuilder();
        for (byte b : plain.getBytes(StandardCharsets.UTF_8)) {
            char c = (char) (b & 0xff);
            if (UNRESERVED.indexOf(c) >= 0 || safe.indexOf(c) >= 0) {
                encoded.append(c);
            } else {
                encoded.append("%%%02X".formatted((int) c));
            }
        }
        return encoded.toString();
    }

    private static IllegalArgumentException malformed(String text, String why) {
        return new IllegalArgumentException("the NBD URI '%s': %s".formatted(text, why));
    }
}
