package dev.lockstep.nbd.client;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

import org.awaitility.Awaitility;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Somebody else's NBD server as a process of ours, until it is closed.
final class PeerServer implements AutoCloseable {
    private final Process process;
    private final NbdUri uri;

    private PeerServer(List<String> command, NbdUri uri, Path log) throws IOException {
        this.uri = uri;
        try {
            this.process =
                    new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(log.toFile())
                            .start();
        } catch (IOException e) {
            throw new IOException(
                    command.getFirst() + " is missing: apt-get install qemu-utils nbdkit", e);
        }
        Awaitility.await()
                .atMost(Duration.ofSeconds(20))
                .pollInterval(Duration.ofMillis(10))
                .until(() -> isListening(log));
    }

    /// `nbdkit` on a Unix socket in `folder`; the arguments name the plugin.
    static PeerServer nbdkit(Path folder, String... arguments) throws IOException {
        Path socket = Files.createTempDirectory(folder, "peer").resolve("s");
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "nbdkit",
                                "--foreground",
                                "--exit-with-parent",
                                "--unix",
                                "" + socket));
        command.addAll(Arrays.asList(arguments));
        return new PeerServer(
                command, new NbdUri(new Address.Unix(socket), ""), socket.resolveSibling("log"));
    }

    /// `qemu-nbd` on a Unix socket in `folder`; the arguments name the image.
    static PeerServer qemuNbd(Path folder, String... arguments) throws IOException {
        Path socket = Files.createTempDirectory(folder, "peer").resolve("s");
        return qemuNbd(new Address.Unix(socket), socket.resolveSibling("log"), arguments);
    }

    /// `qemu-nbd` on a free port of the loopback.
    static PeerServer qemuNbdOverTcp(Path folder, String... arguments) throws IOException {
        int port;
        try (ServerSocket probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = probe.getLocalPort();
        }
        Path log = Files.createTempFile(folder, "peer", ".log");
        return qemuNbd(new Address.Tcp("127.0.0.1", port), log, arguments);
    }

    private static PeerServer qemuNbd(Address address, Path log, String... arguments)
            throws IOException {
        List<String> command =
                new ArrayList<>(List.of("qemu-nbd", "-t", "-e", "16", "-f", "raw", "-x", "disk"));
        command.addAll(
                switch (address) {
                    case Address.Unix unix -> List.of("-k", unix.path().toString());
                    case Address.Tcp tcp -> List.of("-b", tcp.host(), "-p", "" + tcp.port());
                });
        command.addAll(Arrays.asList(arguments));
        return new PeerServer(command, new NbdUri(address, "disk"), log);
    }

    NbdUri uri() {
        return uri;
    }

    RemoteOptions options() {
        return RemoteOptions.of(uri);
    }

    /// `KILL`, `STOP`, `CONT`.
    void signal(String name) throws IOException, InterruptedException {
        new ProcessBuilder("kill", "-" + name, "" + process.pid()).start().waitFor();
    }

    private boolean isListening(Path log) throws IOException {
        if (!process.isAlive()) {
            throw new IOException("the peer has ended: " + Files.readString(log));
        }
        try (SocketChannel probe = uri.address().openSocket()) {
            probe.connect(uri.address().socketAddress());
            return true;
        } catch (IOException _) {
            return false;
        }
    }

    /// Ends it as a crash would.
    void kill() {
        process.destroyForcibly();
        process.onExit().join();
    }

    @Override
    public void close() {
        kill();
    }
}
