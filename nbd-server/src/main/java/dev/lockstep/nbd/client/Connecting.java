package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.nbd.Address;

import java.io.IOException;
import java.net.SocketException;
import java.net.StandardSocketOptions;
import java.nio.channels.Channel;
import java.nio.channels.SocketChannel;
import java.nio.channels.UnresolvedAddressException;
import java.nio.file.Files;

/// Makes connections, in time, and says in words for people what went wrong.
final class Connecting {
    /// A few of the largest usual writes, so that their threads need not wait for the server to
    /// read each. TCP sizes its buffer by itself; for a Unix socket the system allows up to
    /// `net.core.wmem_max`.
    private static final int SEND_BUFFER_BYTES = 1 << 20;

    private Connecting() {}

    /// What is done while the clock runs.
    interface Step<T> {
        T run() throws IOException;
    }

    /// What is said on a new connection, after the greeting and the beginning of TLS.
    interface Talk<T> {
        T over(Dialogue dialogue) throws IOException;
    }

    /// Connects and talks, both within [RemoteOptions#connectDeadline]. If that fails, the server
    /// is told if it can be, and the socket is closed.
    static <T> T within(RemoteOptions options, Talk<T> talk) throws BlockException {
        SocketChannel socket;
        try {
            socket = options.address().openSocket();
        } catch (IOException e) {
            throw explained(options, Kind.GONE, e);
        }
        try {
            return inTime(
                    options,
                    socket,
                    () -> {
                        connect(options.address(), socket);
                        return converse(options, new Dialogue(Link.of(socket)), talk);
                    });
        } catch (BlockException e) {
            NbdConnection.closeQuietly(socket);
            throw e;
        }
    }

    private static <T> T converse(RemoteOptions options, Dialogue dialogue, Talk<T> talk)
            throws IOException {
        try {
            dialogue.startTls(options);
            return talk.over(dialogue);
        } catch (BlockException e) {
            dialogue.sayGoodbye();
            throw e;
        }
    }

    /// Takes a step within [RemoteOptions#connectDeadline]. The channel is closed if that fails,
    /// unless with a [BlockException], which is a server's proper refusal.
    static <T> T inTime(RemoteOptions options, Channel channel, Step<T> step)
            throws BlockException {
        Deadline deadline = new Deadline(options.connectDeadline(), channel);
        try (deadline) {
            return step.run();
        } catch (IOException | UnresolvedAddressException e) {
            if (!(e instanceof BlockException)) {
                NbdConnection.closeQuietly(channel);
            }
            if (deadline.hasExpired()) {
                throw new BlockException(
                        Kind.TIMEOUT,
                        "%s: no answer within %s ms; is it an NBD server, and is it well?"
                                .formatted(options.uri(), options.connectDeadline().toMillis()),
                        e);
            }
            throw explained(options, e instanceof BlockException b ? b.kind() : Kind.GONE, e);
        }
    }

    private static void connect(Address address, SocketChannel socket) throws IOException {
        try {
            socket.connect(address.socketAddress());
        } catch (SocketException e) {
            throw new SocketException("%s: %s".formatted(words(e), advice(address)));
        }
        switch (address) {
            case Address.Tcp _ -> socket.setOption(StandardSocketOptions.TCP_NODELAY, true);
            case Address.Unix _ ->
                    socket.setOption(StandardSocketOptions.SO_SNDBUF, SEND_BUFFER_BYTES);
        }
    }

    private static String advice(Address address) {
        return switch (address) {
            case Address.Unix(var path) when !Files.exists(path) ->
                    "there is no socket %s; start the server, or correct the path".formatted(path);
            case Address.Unix(var path) when !Files.isWritable(path) ->
                    "you may not use the socket %s; ask for the permission".formatted(path);
            case Address.Unix(var path) ->
                    "no server listens on the socket %s; start it".formatted(path);
            case Address.Tcp tcp ->
                    "no connection to %s; start the server there, or correct the host and port"
                            .formatted(tcp);
        };
    }

    private static BlockException explained(RemoteOptions options, Kind kind, Exception why) {
        String reason =
                why instanceof UnresolvedAddressException
                        ? "its host is not known; correct the name, or write the address"
                        : words(why);
        return new BlockException(kind, "%s: %s".formatted(options.uri(), reason), why);
    }

    static String words(Exception why) {
        return why.getMessage() == null ? why.toString() : why.getMessage();
    }
}
