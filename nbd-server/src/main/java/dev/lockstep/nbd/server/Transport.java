package dev.lockstep.nbd.server;

import dev.lockstep.nbd.Address;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.util.ResourceLeakDetector;
import io.netty.util.concurrent.DefaultThreadFactory;

import java.io.IOException;
import java.net.SocketAddress;

/// What differs between epoll, which Linux has, and NIO, which every platform has.
final class Transport {
    /// Buffers up to this size are kept by the loop that used them. Otherwise the memory of a large
    /// payload goes back to the system after almost every request, and faulting its pages in again
    /// costs as much as the rest of the request.
    private static final int KEPT_BUFFER_BYTES_MAX = 4 << 20;

    /// How many of each size are kept: as many as a client that streams has in flight.
    private static final int KEPT_BUFFERS = 8;

    /// A whole large reply, so that the loop is not woken for every piece of it.
    private static final int SEND_BUFFER_BYTES = 1 << 20;

    private static final PooledByteBufAllocator ALLOCATOR = allocator();

    static {
        // Netty samples buffers for leaks by recording stacks; the tests switch that on, a server
        // has no use for it.
        if (System.getProperty("io.netty.leakDetection.level") == null) {
            ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.DISABLED);
        }
    }

    private final boolean epoll = Epoll.isAvailable();
    private final EventLoopGroup loops;

    Transport(ServerOptions options) {
        loops =
                new MultiThreadIoEventLoopGroup(
                        options.eventLoops(),
                        new DefaultThreadFactory("nbd-loop", true),
                        handlers(options));
    }

    /// One arena for each of the two loops that a server sensibly has; 16 MiB chunks, of which only
    /// what is used takes memory.
    private static PooledByteBufAllocator allocator() {
        // Netty reads this once, and has no other way of setting it.
        System.setProperty(
                "io.netty.allocator.maxCachedBufferCapacity",
                String.valueOf(KEPT_BUFFER_BYTES_MAX));
        return new PooledByteBufAllocator(true, 0, 2, 8192, 11, 64, KEPT_BUFFERS, false);
    }

    EventLoopGroup loops() {
        return loops;
    }

    /// A bootstrap for listening on this kind of address.
    ServerBootstrap bootstrap(Address address) {
        boolean unix = address instanceof Address.Unix;
        return bootstrap(unix).channel(channelType(unix));
    }

    /// A bootstrap for a socket that listens already.
    ServerBootstrap bootstrapListening(int fd, boolean unix) throws IOException {
        requireEpoll();
        return bootstrap(unix)
                .channelFactory(
                        () ->
                                unix
                                        ? new EpollServerDomainSocketChannel(fd, true)
                                        : new EpollServerSocketChannel(fd));
    }

    /// A channel of a socket that is connected already.
    Channel connected(int fd, boolean unix) throws IOException {
        requireEpoll();
        Channel channel = unix ? new EpollDomainSocketChannel(fd) : new EpollSocketChannel(fd);
        connectedOptions(unix, channel.config()::setOption);
        return channel;
    }

    private ServerBootstrap bootstrap(boolean unix) {
        ServerBootstrap bootstrap = new ServerBootstrap().group(loops);
        connectedOptions(unix, bootstrap::childOption);
        return unix ? bootstrap : bootstrap.option(ChannelOption.SO_REUSEADDR, true);
    }

    /// TCP sizes its buffer by itself; a Unix socket keeps the system's default, of which this
    /// makes the most it allows.
    private static void connectedOptions(boolean unix, OptionSink sink) {
        sink.set(ChannelOption.ALLOCATOR, ALLOCATOR);
        sink.set(ChannelOption.ALLOW_HALF_CLOSURE, true);
        if (unix) {
            sink.set(ChannelOption.SO_SNDBUF, SEND_BUFFER_BYTES);
        } else {
            sink.set(ChannelOption.TCP_NODELAY, true);
            sink.set(ChannelOption.SO_KEEPALIVE, true);
        }
    }

    /// A generic method cannot be a lambda's target, but a method reference's.
    @FunctionalInterface
    private interface OptionSink {
        <T> void set(ChannelOption<T> option, T value);
    }

    private void requireEpoll() throws IOException {
        if (!epoll) {
            throw new IOException("sockets can only be handed in where there is epoll: on Linux");
        }
    }

    /// The address in the form that the transport understands.
    SocketAddress socketAddress(Address address) {
        return address instanceof Address.Unix(var path) && epoll
                ? new DomainSocketAddress(path.toString())
                : address.socketAddress();
    }

    private IoHandlerFactory handlers(ServerOptions options) {
        if (!epoll) {
            return NioIoHandler.newFactory();
        }
        return options.spin().isZero()
                ? EpollIoHandler.newFactory()
                : EpollIoHandler.newFactory(0, () -> new LoopPacing(options.spin()));
    }

    private Class<? extends ServerChannel> channelType(boolean unix) {
        if (unix) {
            return epoll
                    ? EpollServerDomainSocketChannel.class
                    : NioServerDomainSocketChannel.class;
        }
        return epoll ? EpollServerSocketChannel.class : NioServerSocketChannel.class;
    }
}
