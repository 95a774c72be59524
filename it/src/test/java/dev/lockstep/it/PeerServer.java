package dev.lockstep.it;

import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/// Somebody else's NBD server on a Unix socket, until it is closed.
final class PeerServer implements AutoCloseable {
    private final Process process;
    private final Path socket;

    private PeerServer(Process process, Path socket) {
        this.process = process;
        this.socket = socket;
    }

    /// Returns once it listens on the socket that its command names.
    static PeerServer start(Path socket, String... command) {
        Path log = socket.resolveSibling(socket.getFileName() + ".log");
        Process process = Peer.start(log, command);
        await().atMost(Duration.ofSeconds(20))
                .pollInterval(Duration.ofMillis(10))
                .until(() -> listens(process, socket, log));
        return new PeerServer(process, socket);
    }

    /// Its export without a name.
    String uri() {
        return "nbd+unix:///?socket=" + socket;
    }

    @Override
    public void close() {
        process.destroy();
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static boolean listens(Process process, Path socket, Path log) {
        try {
            if (!process.isAlive()) {
                throw new IllegalStateException("it has ended: " + Files.readString(log));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Files.exists(socket);
    }
}
