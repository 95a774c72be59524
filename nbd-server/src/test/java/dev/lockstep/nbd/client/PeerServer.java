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
    private static final String PID_FILE_OPTION = "--pid-file";

    private final List<String> command;
    private final NbdUri uri;
    private final Path log;
    private ProcessHandle process;

    private PeerServer(List<String> command, NbdUri uri, Path log) throws IOException {
        this.command = command;
        this.uri = uri;
        this.log = log;
        this.process = start();
        awaitListening();
    }

    private ProcessHandle start() throws IOException {
        Process started;
        try {
            started =
                    new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(log.toFile())
                            .start();
        } catch (IOException e) {
            throw new IOException(
                    command.getFirst()
                            + " is missing: apt-get install qemu-utils nbdkit nbd-server",
                    e);
        }
        int option = command.indexOf(PID_FILE_OPTION);
        return option < 0 ? started.toHandle() : daemon(started, Path.of(command.get(option + 1)));
    }

    /// The process that is left after the one that was started has gone into the background.
    private static ProcessHandle daemon(Process started, Path pidFile) throws IOException {
        started.onExit().join();
        Awaitility.await().until(() -> Files.exists(pidFile) && Files.size(pidFile) > 0);
        String pid = Files.readString(pidFile).strip();
        Files.delete(pidFile);
        return ProcessHandle.of(Long.parseLong(pid)).orElseThrow();
    }

    private void awaitListening() {
        Awaitility.await()
                .atMost(Duration.ofSeconds(20))
                .pollInterval(Duration.ofMillis(10))
                .until(this::isListening);
    }

    /// Starts it again at the same place after [#kill].
    void restart() throws IOException {
        if (uri.address() instanceof Address.Unix(var socket)) {
            Files.deleteIfExists(socket);
        }
        process = start();
        awaitListening();
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
        Path log = Files.createTempFile(folder, "peer", ".log");
        return qemuNbd(freePort(), log, arguments);
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

    /// `nbd-server` on a free port of the loopback, which serves a file.
    static PeerServer nbdServer(Path folder, Path disk, String... settings) throws IOException {
        Address.Tcp address = freePort();
        Path config = Files.createTempFile(folder, "nbd-server", ".conf");
        Files.write(
                config,
                List.of(
                        "[generic]",
                        "listenaddr = " + address.host(),
                        "port = " + address.port(),
                        "allowlist = true",
                        "[disk]",
                        "exportname = " + disk,
                        String.join("\n", settings)));
        return new PeerServer(
                List.of("nbd-server", "-C", config.toString(), PID_FILE_OPTION, config + ".pid"),
                new NbdUri(address, "disk"),
                Files.createTempFile(folder, "peer", ".log"));
    }

    private static Address.Tcp freePort() throws IOException {
        try (ServerSocket probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return new Address.Tcp("127.0.0.1", probe.getLocalPort());
        }
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

    private boolean isListening() throws IOException {
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

    /// Ends it as a crash would, with the processes that it has for its connections.
    void kill() {
        List<ProcessHandle> all = new ArrayList<>(process.descendants().toList());
        all.add(process);
        all.forEach(ProcessHandle::destroyForcibly);
        all.forEach(each -> each.onExit().join());
    }

    @Override
    public void close() {
        kill();
    }
}
