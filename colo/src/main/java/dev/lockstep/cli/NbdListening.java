package dev.lockstep.cli;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.UriTls;
import dev.lockstep.nbd.server.InheritedSockets;
import dev.lockstep.nbd.server.NbdServer;
import dev.lockstep.nbd.server.ServerOptions;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;

/// The options of `lockstep nbd` that say where clients come from and how many, and listening.
final class NbdListening {
    private static final int PORT_DEFAULT = 10809;

    @Option(
            names = {"-k", "--socket"},
            paramLabel = "SOCKET",
            description = "Listen on this unix socket instead of on TCP.")
    private @Nullable Path socket;

    @Option(
            names = {"-b", "--bind"},
            paramLabel = "ADDR",
            description = "Listen on this host's address. Default: " + Reachable.ANY_IPV4 + ".")
    private @Nullable String host;

    @Option(
            names = {"-p", "--port"},
            paramLabel = "PORT",
            description = "Listen on this TCP port; 0 takes a free one. Default: 10809.")
    private @Nullable Integer port;

    @Option(
            names = "--listen",
            paramLabel = "ADDRESS",
            description =
                    "Listen here as well: unix:PATH, HOST:PORT or [IPV6]:PORT; may be repeated, and"
                            + " without -k, -b and -p stands for them.")
    private List<Address> more = new ArrayList<>();

    @Option(
            names = "--stdio",
            description =
                    "Serve one client on standard input and output, a socket or pipes, and end with"
                            + " it: for clients that start their server.")
    private boolean stdio;

    @Option(
            names = {"-e", "--shared"},
            paramLabel = "NUM",
            description =
                    "Let so many clients in at a time, 0 for any number; more wait. Default: 1.")
    private int shared = 1;

    @Option(
            names = {"-t", "--persistent"},
            description = "Go on when the last client has left.")
    private boolean persistent;

    /// Listening sockets that were handed to this process, by number.
    private final List<Integer> activated = InheritedSockets.activated(System.getenv());

    /// What a client connects to, as QEMU's tools take `-k`, `-b` and `-p` with `-L`.
    Address client(String anyHost) {
        return socket != null ? new Address.Unix(socket) : tcp(anyHost);
    }

    /// Refuses what cannot be, before anything is opened.
    void check() {
        if (shared < 0) {
            throw new UsageError("-e %d is less than no client".formatted(shared));
        }
        boolean named = socket != null || host != null || port != null || !more.isEmpty();
        if (stdio && (named || isActivated())) {
            throw new UsageError("--stdio serves standard input: leave every address out");
        }
        if (isActivated() && named) {
            throw new UsageError(
                    "the sockets to listen on were handed in (LISTEN_FDS): leave every address out");
        }
        List<Address> _ = addresses();
    }

    /// Whether listening sockets were handed in.
    boolean isActivated() {
        return !activated.isEmpty();
    }

    /// Whether it serves standard input.
    boolean isStdio() {
        return stdio;
    }

    /// Listens on a Unix socket: on this one unless `-k` has named another.
    void useSocket(Path otherwise) {
        if (socket == null) {
            socket = otherwise;
        }
    }

    /// The Unix socket that is listened on.
    ///
    /// @throws IllegalStateException if there is none
    Path unixSocket() {
        return Optional.ofNullable(socket).orElseThrow(IllegalStateException::new);
    }

    /// The server's options, as far as they are about clients.
    ServerOptions options() {
        return ServerOptions.DEFAULT
                .withSpin(ServerOptions.SPIN_ALONE)
                .withMaxConnections(shared == 0 ? ServerOptions.CONNECTIONS_DEFAULT : shared);
    }

    /// Listens, and returns the URIs of an export, separated by spaces; none if whoever started
    /// this process has the sockets already.
    String listen(NbdServer server, String export, boolean tls) throws IOException {
        for (int fd : activated) {
            Address _ = server.adopt(fd);
        }
        List<Address> bound = new ArrayList<>();
        if (!isActivated() && !stdio) {
            for (Address address : addresses()) {
                bound.add(server.listen(address));
            }
        }
        UriTls how = tls ? UriTls.DEFAULT : null;
        return bound.stream()
                .map(address -> new NbdUri(Reachable.from(address), export, how))
                .map(NbdUri::format)
                .collect(Collectors.joining(" "));
    }

    /// Returns when the server has nothing more to do.
    void awaitEnd(NbdServer server) throws IOException, InterruptedException {
        if (stdio) {
            StandardStreams.serve(server);
            return;
        }
        if (persistent) {
            new CountDownLatch(1).await();
        }
        server.awaitLastClient();
    }

    /// As with qemu-nbd, a unix socket is chosen over a port.
    private List<Address> addresses() {
        try {
            List<Address> all = new ArrayList<>();
            if (socket != null) {
                all.add(new Address.Unix(socket));
            } else if (host != null || port != null || more.isEmpty()) {
                all.add(tcp(Reachable.ANY_IPV4));
            }
            all.addAll(more);
            return all;
        } catch (IllegalArgumentException e) {
            throw new UsageError(String.valueOf(e.getMessage()));
        }
    }

    private Address tcp(String anyHost) {
        String name = host == null || host.isEmpty() ? anyHost : host;
        return new Address.Tcp(name, port == null ? PORT_DEFAULT : port);
    }
}
