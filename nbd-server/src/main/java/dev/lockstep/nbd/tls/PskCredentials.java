package dev.lockstep.nbd.tls;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

import javax.net.ssl.SSLEngine;

/// Pre-shared keys in a file. See [TlsCredentials#psk].
final class PskCredentials implements TlsCredentials {
    private final Path file;
    private final Endpoint endpoint;
    private final String username;
    private final ReloadedFiles<Map<String, byte[]>> keys;

    PskCredentials(Path file, Endpoint endpoint, String username) {
        this.file = file;
        this.endpoint = endpoint;
        this.username = username;
        this.keys = new ReloadedFiles<>(List.of(file), this::load);
    }

    @Override
    public Endpoint endpoint() {
        return endpoint;
    }

    @Override
    public void check() throws IOException {
        keys.current();
    }

    @Override
    public SSLEngine newEngine(@Nullable String host) throws IOException {
        Map<String, byte[]> current = keys.current();
        byte[] own = current.get(username);
        if (endpoint == Endpoint.SERVER) {
            return PskPeers.server(current);
        }
        if (own == null) {
            throw unknownUser();
        }
        return PskPeers.client(username, own);
    }

    @Override
    public String toString() {
        return "pre-shared keys in " + file;
    }

    private IOException unknownUser() {
        return new IOException(
                "the file %s holds no key of the user '%s'".formatted(file, username));
    }

    private Map<String, byte[]> load() throws IOException {
        Map<String, byte[]> found = new HashMap<>();
        int number = 0;
        for (String line : new String(Pem.bytes(file), StandardCharsets.UTF_8).split("\\R", -1)) {
            number++;
            if (!line.isBlank() && !line.startsWith("#")) {
                int colon = line.lastIndexOf(':');
                try {
                    found.put(
                            line.substring(0, colon),
                            HexFormat.of().parseHex(line.substring(colon + 1).strip()));
                } catch (IllegalArgumentException | IndexOutOfBoundsException _) {
                    throw new IOException(
                            "line %d of %s is not USERNAME:HEXKEY".formatted(number, file));
                }
            }
        }
        if (found.isEmpty()) {
            throw new IOException("the file %s holds no key".formatted(file));
        }
        if (endpoint == Endpoint.CLIENT && !found.containsKey(username)) {
            throw unknownUser();
        }
        return Map.copyOf(found);
    }
}
