package dev.lockstep.nbd;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// Where a server listens, as it is written on the command line: `unix:PATH`, `HOST:PORT` or
/// `[IPV6]:PORT`.
public sealed interface Address {
    /// A Unix domain socket.
    ///
    /// @param path the socket's file
    record Unix(Path path) implements Address {
        /// What fits into the kernel's `sun_path`, less the NUL that ends it.
        private static final int PATH_BYTES_MAX = 108 - 1;

        /// Checks that the kernel can take the path.
        public Unix {
            int bytes = path.toString().getBytes(StandardCharsets.UTF_8).length;
            if (bytes == 0 || bytes > PATH_BYTES_MAX) {
                throw new IllegalArgumentException(
                        "the socket path '%s' has %d bytes; give one of 1 to %d"
                                .formatted(path, bytes, PATH_BYTES_MAX));
            }
        }

        @Override
        public SocketAddress socketAddress() {
            return UnixDomainSocketAddress.of(path);
        }

        @Override
        public boolean isLoopback() {
            return true;
        }

        @Override
        public String toString() {
            return "unix:" + path;
        }
    }

    /// A TCP port of a host.
    ///
    /// @param host a name or a literal address; an IPv6 address without brackets
    /// @param port 0 takes a free one where it is listened on
    record Tcp(String host, int port) implements Address {
        private static final int PORT_MAX = 65535;

        /// Checks the parts.
        public Tcp {
            if (host.isEmpty() || host.matches(".*[\\[\\]/@?#\\s].*")) {
                throw new IllegalArgumentException("'%s' is no host".formatted(host));
            }
            if (port < 0 || port > PORT_MAX) {
                throw new IllegalArgumentException(
                        "port %d is not between 0 and %d".formatted(port, PORT_MAX));
            }
        }

        @Override
        public SocketAddress socketAddress() {
            return new InetSocketAddress(host, port);
        }

        @Override
        public boolean isLoopback() {
            try {
                for (InetAddress address : InetAddress.getAllByName(host)) {
                    if (!address.isLoopbackAddress()) {
                        return false;
                    }
                }
                return true;
            } catch (IOException _) {
                return false;
            }
        }

        @Override
        public String toString() {
            return (host.contains(":") ? "[" + host + "]:" : host + ":") + port;
        }
    }

    /// Returns a free TCP port that only this host reaches.
    static Address loopback() {
        return new Tcp("127.0.0.1", 0);
    }

    /// Reads an address as a person writes it.
    ///
    /// @throws IllegalArgumentException if it is none, with one sentence that says what is expected
    static Address parse(String text) {
        if (text.startsWith("unix:")) {
            return new Unix(Path.of(text.substring("unix:".length())));
        }
        int colon = text.lastIndexOf(':');
        String host = colon < 0 ? "" : text.substring(0, colon);
        String port = text.substring(colon + 1);
        if (host.startsWith("[") && host.endsWith("]")) {
            host = host.substring(1, host.length() - 1);
        } else if (host.contains(":")) {
            throw malformed(text);
        }
        if (host.isEmpty() || !port.matches("[0-9]{1,5}")) {
            throw malformed(text);
        }
        return new Tcp(host, Integer.parseInt(port));
    }

    /// Returns what a socket connects to or listens on; a host name is looked up, which may block.
    SocketAddress socketAddress();

    /// Whether only processes of this host can reach it: a Unix socket, or a host all of whose
    /// addresses are loopback ones. A name that cannot be looked up is not. May block.
    boolean isLoopback();

    /// Returns the address as processes in any folder can use it: a socket's path is made absolute,
    /// unless it is only short enough while it is relative.
    default Address absolute() {
        if (this instanceof Unix(Path path)) {
            try {
                return new Unix(path.toAbsolutePath());
            } catch (IllegalArgumentException _) {
                return this;
            }
        }
        return this;
    }

    /// Whether who listens here is given a free port, so that others have to be told which.
    default boolean takesFreePort() {
        return this instanceof Tcp tcp && tcp.port() == 0;
    }

    /// Opens a blocking socket of this family that is not connected yet.
    default SocketChannel openSocket() throws IOException {
        return switch (this) {
            case Unix _ -> SocketChannel.open(StandardProtocolFamily.UNIX);
            case Tcp _ -> SocketChannel.open();
        };
    }

    /// Opens a blocking listening socket of this family that is not bound yet.
    default ServerSocketChannel openServerSocket() throws IOException {
        return switch (this) {
            case Unix _ -> ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            case Tcp _ -> ServerSocketChannel.open();
        };
    }

    /// Returns the address in the form that [#parse] reads.
    @Override
    String toString();

    private static IllegalArgumentException malformed(String text) {
        return new IllegalArgumentException(
                "'%s' is no address: write unix:PATH, HOST:PORT or [IPV6]:PORT".formatted(text));
    }
}
