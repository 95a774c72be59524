package dev.lockstep.it;

import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/// Somebody else's NBD server on a unix socket, for a tool to talk to. Closing it kills it.
record ToolServer(Process process, Path socket, String uri) implements AutoCloseable {
    /// Starts a server and returns once its socket is there.
    ///
    /// @param export the export's name, empty for the default one
    /// @param command the word SOCKET stands for the socket's path
    static ToolServer start(Path folder, String export, String... command) {
        Path socket = folder.resolve("peer" + System.nanoTime() + ".sock");
        String[] words = command.clone();
        for (int i = 0; i < words.length; i++) {
            words[i] = words[i].replace("SOCKET", socket.toString());
        }
        Process process = Peer.start(folder.resolve("peer.log"), words);
        await().atMost(Duration.ofSeconds(30)).until(() -> Files.exists(socket));
        return new ToolServer(
                process, socket, "nbd+unix:///%s?socket=%s".formatted(export, socket));
    }

    @Override
    public void close() {
        try {
            process.destroyForcibly().waitFor();
            Files.deleteIfExists(socket);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
