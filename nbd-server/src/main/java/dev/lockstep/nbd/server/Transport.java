package dev.lockstep.nbd.server;

import dev.lockstep.nbd.Address;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.util.ResourceLeakDetector;
import io.netty.util.concurrent.DefaultThreadFactory;

import java.net.SocketAddress;

/// What differs between epoll, which Linux has, and NIO, which every platform has.
final class Transport {
    /// One arena for each of the two loops that a server sensibly has; 4 MiB chunks, so that a
    /// payload of 1 MiB is a part of one.
    private static final PooledByteBufAllocator ALLOCATOR =
            new PooledByteBufAllocator(true, 0, 2, 8192, 9, 64, 32, false);

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

    EventLoopGroup loops() {
        return loops;
    }

    /// A bootstrap for listening on this kind of address.
    ServerBootstrap bootstrap(Address address) {
        ServerBootstrap bootstrap =
                new ServerBootstrap()
                        .group(loops)
                        .channel(channelType(address))
                        .childOption(ChannelOption.ALLOCATOR, ALLOCATOR)
                        .childOption(ChannelOption.ALLOW_HALF_CLOSURE, true);
        return switch (address) {
            case Address.Unix _ -> bootstrap;
            case Address.Tcp _ ->
                    bootstrap
                            .option(ChannelOption.SO_REUSEADDR, true)
                            .childOption(ChannelOption.TCP_NODELAY, true)
                            .childOption(ChannelOption.SO_KEEPALIVE, true);
        };
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
                : EpollIoHandler.newFactory(0, () -> new SpinThenSleep(options.spin()));
    }

    private Class<? extends ServerChannel> channelType(Address address) {
        return switch (address) {
            case Address.Unix _ ->
                    epoll
                            ? EpollServerDomainSocketChannel.class
                            : NioServerDomainSocketChannel.class;
            case Address.Tcp _ ->
                    epoll ? EpollServerSocketChannel.class : NioServerSocketChannel.class;
        };
    }
}
