package dev.lockstep.nbd;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// Names an export of a server: `nbd://HOST[:PORT]/EXPORT` or `nbd+unix:///EXPORT?socket=PATH`, as
/// the NBD project's URI document defines it.
///
/// @param address where the server listens
/// @param export the export's name; empty for the server's default one
public record NbdUri(Address address, String export) {
    private static final String TCP_SCHEME = "nbd";
    private static final String UNIX_SCHEME = "nbd+unix";

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

    /// Reads a URI.
    ///
    /// @throws IllegalArgumentException if it is none or asks for what we cannot do, with one
    ///     sentence that says so
    public static NbdUri parse(String text) {
        int colon = text.indexOf("://");
        if (colon < 0) {
            throw malformed(text, "it does not begin with nbd:// or nbd+unix://");
        }
        String scheme = text.substring(0, colon);
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
        return switch (scheme) {
            case TCP_SCHEME -> {
                if (socketParameter(text, query) != null) {
                    throw malformed(text, "a socket belongs to the scheme nbd+unix");
                }
                yield new NbdUri(tcp(text, authority), export);
            }
            case UNIX_SCHEME -> new NbdUri(unix(text, authority, query), export);
            case "nbds", "nbds+unix" ->
                    throw malformed(text, "TLS is not supported yet; use nbd:// or nbd+unix://");
            default -> throw malformed(text, "it does not begin with nbd:// or nbd+unix://");
        };
    }

    /// Returns the URI in the form that [#parse] and other NBD programs read.
    public String format() {
        return switch (address) {
            case Address.Unix unix ->
                    "%s:///%s?socket=%s"
                            .formatted(
                                    UNIX_SCHEME,
                                    encode(export, "/"),
                                    encode(unix.path().toString(), "/"));
            case Address.Tcp tcp -> "%s://%s/%s".formatted(TCP_SCHEME, tcp, encode(export, "/"));
        };
    }

    @Override
    public String toString() {
        return format();
    }

    private static Address tcp(String text, String authority) {
        String hostAndPort = authority.substring(authority.indexOf('@') + 1);
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

    private static Address unix(String text, String authority, String query) {
        if (!authority.isEmpty()) {
            throw malformed(text, "nbd+unix has no host: write nbd+unix:///EXPORT?socket=PATH");
        }
        String socket = socketParameter(text, query);
        if (socket == null || socket.isEmpty()) {
            throw malformed(text, "the parameter socket=PATH is missing");
        }
        if (socket.startsWith("\0")) {
            throw malformed(text, "sockets in the abstract namespace are not supported");
        }
        return new Address.Unix(Path.of(socket));
    }

    private static @Nullable String socketParameter(String text, String query) {
        String socket = null;
        for (String parameter : query.split("&", -1)) {
            if (parameter.startsWith("socket=")) {
                socket = decode(text, parameter.substring("socket=".length()));
            } else if (parameter.startsWith("tls-")) {
                throw malformed(text, "TLS is not supported yet; leave the tls- parameters out");
            } else if (!parameter.isEmpty()) {
                throw malformed(text, "the parameter '%s' is not known".formatted(parameter));
            }
        }
        return socket;
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
