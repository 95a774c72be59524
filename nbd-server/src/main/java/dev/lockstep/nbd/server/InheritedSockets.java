package dev.lockstep.nbd.server;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.lockstep.block.posix.Libc;
import dev.lockstep.nbd.Address;

import io.netty.channel.unix.Socket;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/// Sockets that this process was started with, by the numbers of their descriptors: what systemd
/// hands in (`LISTEN_FDS`), and what a client that starts its server makes its standard input.
public final class InheritedSockets {
    /// The first of the descriptors that systemd hands in.
    private static final int ACTIVATED_FIRST = 3;

    /// More than anybody listens on; a process may have 1024 descriptors.
    private static final int ACTIVATED_MAX = 64;

    private static final int F_GETFL = 3;
    private static final int F_SETFL = 4;
    private static final int O_NONBLOCK = 0x800;
    private static final int SOL_SOCKET = 1;
    private static final int SO_DOMAIN = 39;
    private static final int SO_ACCEPTCONN = 30;
    private static final int AF_UNIX = 1;
    private static final int AF_INET = 2;
    private static final int AF_INET6 = 10;

    private InheritedSockets() {}

    /// The listening sockets that were handed to this very process, by the environment it was
    /// started with; usually none.
    public static List<Integer> activated(Map<String, String> environment) {
        String process = Long.toString(ProcessHandle.current().pid());
        String count = environment.getOrDefault("LISTEN_FDS", "");
        if (!process.equals(environment.get("LISTEN_PID")) || !count.matches("[0-9]{1,4}")) {
            return List.of();
        }
        int sockets = Math.min(ACTIVATED_MAX, Integer.parseInt(count));
        return IntStream.range(ACTIVATED_FIRST, ACTIVATED_FIRST + sockets).boxed().toList();
    }

    /// Whether both descriptors are one and the same socket.
    public static boolean isSameSocket(int first, int second) throws IOException {
        Path descriptors = Path.of("/proc/self/fd");
        String link = Files.readSymbolicLink(descriptors.resolve("" + first)).toString();
        return link.startsWith("socket:")
                && link.equals(Files.readSymbolicLink(descriptors.resolve("" + second)).toString());
    }

    /// Whether a socket is a Unix one; otherwise it speaks TCP.
    ///
    /// @throws IOException if it is no socket, or of another kind, such as vsock
    static boolean isUnix(int fd) throws IOException {
        return switch (option(fd, SO_DOMAIN)) {
            case AF_UNIX -> true;
            case AF_INET, AF_INET6 -> false;
            default ->
                    throw new IOException(
                            "descriptor %d is a socket of neither TCP nor Unix".formatted(fd));
        };
    }

    /// Refuses a socket that nobody can connect to.
    static void requireListening(int fd) throws IOException {
        if (option(fd, SO_ACCEPTCONN) == 0) {
            throw new IOException("descriptor %d is a socket that does not listen".formatted(fd));
        }
    }

    private static int option(int fd, int name) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_INT);
            long length = arena.allocateFrom(JAVA_INT, Integer.BYTES).address();
            if (Libc.call("getsockopt", fd, SOL_SOCKET, name, value.address(), length) < 0) {
                throw new IOException("descriptor %d is no socket".formatted(fd));
            }
            return value.get(JAVA_INT, 0);
        }
    }

    /// Where a listening socket listens. A name in the abstract namespace has an `@` in front, as
    /// systemd writes it.
    static Address address(int fd, boolean unix) throws IOException {
        Socket socket = new Socket(fd);
        if (unix) {
            return new Address.Unix(
                    Path.of(socket.localDomainSocketAddress().path().replace('\0', '@')));
        }
        InetSocketAddress local = socket.localAddress();
        if (local == null) {
            throw new IOException("descriptor %d has no address".formatted(fd));
        }
        return new Address.Tcp(local.getAddress().getHostAddress(), local.getPort());
    }

    /// Makes a socket fit for an event loop: whoever made it may have meant to wait on it.
    static void makeNonBlocking(int fd) {
        int flags = Libc.call("fcntl", fd, F_GETFL);
        int _ = Libc.call("fcntl", fd, F_SETFL, flags | O_NONBLOCK);
    }
}
