package dev.lockstep.cli;

import dev.lockstep.nbd.Address;

import java.util.Locale;

/// What a ready line says of where a server listens.
final class Reachable {
    static final String ANY_IPV4 = "0.0.0.0";
    private static final String ANY_IPV6 = "::";

    private Reachable() {}

    /// The address that a client on this host can use, wherever it runs.
    static Address from(Address bound) {
        return switch (bound) {
            case Address.Unix _ -> bound.absolute();
            case Address.Tcp(String host, int port) ->
                    switch (host.toLowerCase(Locale.ROOT)) {
                        case ANY_IPV4 -> new Address.Tcp("127.0.0.1", port);
                        case ANY_IPV6 -> new Address.Tcp("::1", port);
                        default -> bound;
                    };
        };
    }
}
