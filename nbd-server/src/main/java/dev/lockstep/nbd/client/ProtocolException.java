package dev.lockstep.nbd.client;

import java.io.IOException;

/// The server broke the protocol; the connection cannot go on.
final class ProtocolException extends IOException {
    private static final long serialVersionUID = 1L;

    ProtocolException(String breach) {
        super("the server broke the NBD protocol: " + breach);
    }
}
