package dev.lockstep.nbd.client;

import java.io.EOFException;

/// The server has said that it is going away (ESHUTDOWN). What it answered so was not done.
final class ServerShutdown extends EOFException {
    private static final long serialVersionUID = 1L;

    ServerShutdown() {
        super("the server is shutting down");
    }
}
