package dev.lockstep.nbd.server;

import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Negotiation;
import dev.lockstep.nbd.Negotiation.Message;
import dev.lockstep.nbd.Negotiation.Reply;
import dev.lockstep.nbd.Negotiation.State;
import dev.lockstep.nbd.Negotiation.Step;
import dev.lockstep.nbd.Negotiation.Transmission;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.OptionReplyCodec;
import dev.lockstep.nbd.tls.ServerTls;
import dev.lockstep.nbd.tls.TlsFailure;
import dev.lockstep.nbd.tls.TlsIdentity;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.handler.codec.ByteToMessageDecoder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslHandshakeCompletionEvent;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;

import javax.net.ssl.SSLEngine;

/// The handshake of one connection: bytes to messages, [Negotiation] for the decisions, replies to
/// bytes. When an export is chosen a [TransmissionHandler] takes its place, and the bytes that are
/// already there.
final class HandshakeHandler extends ByteToMessageDecoder {
    /// Replies that wait for the client to read them; who asks for more behind this is hung up on.
    /// The reply to one option may be longer: a list of thousands of exports.
    private static final int UNREAD_BYTES_MAX = 256 << 10;

    /// A server that closes waits so long for an option, in order to say that it does: the time of
    /// a few round trips, since a client that is silent now holds up whoever closes the server.
    private static final int LEAVE_MILLIS = 500;

    private final Connection connection;
    private final Negotiation negotiation;
    private final Duration deadline;
    private final @Nullable ServerTls tls;
    private State state;

    /// Data still to be thrown away of an option that is too long.
    private long skip;

    HandshakeHandler(Connection connection, Exports exports, ServerOptions options) {
        this.connection = connection;
        this.tls = options.tls();
        Negotiation.Tls mode =
                tls == null
                        ? Negotiation.Tls.OFF
                        : tls.required() ? Negotiation.Tls.REQUIRED : Negotiation.Tls.ALLOWED;
        this.negotiation =
                new Negotiation(
                        exports, options.maxConnections() > 1, options.degradations(), mode);
        this.deadline = options.handshakeDeadline();
        this.state = negotiation.start();
    }

    @Override
    public void channelActive(ChannelHandlerContext context) {
        context.writeAndFlush(
                context.alloc()
                        .buffer(NbdProtocol.GREETING_BYTES)
                        .writeLong(NbdProtocol.INIT_MAGIC)
                        .writeLong(NbdProtocol.OPTION_MAGIC)
                        .writeShort(negotiation.handshakeFlags()));
        context.executor()
                .schedule(
                        () -> {
                            if (!context.isRemoved()) {
                                connection.drop("the handshake took longer than " + deadline);
                            }
                        },
                        deadline.toNanos(),
                        TimeUnit.NANOSECONDS);
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) throws Exception {
        state = new Negotiation.Closed("the connection is gone");
        super.channelInactive(context);
        connection.ended();
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) throws Exception {
        if (event == ChannelInputShutdownEvent.INSTANCE) {
            context.close();
        } else if (event == Connection.Finish.INSTANCE) {
            take(context, new Negotiation.ServerCloses());
            context.executor().schedule(() -> context.close(), LEAVE_MILLIS, TimeUnit.MILLISECONDS);
        } else if (event instanceof SslHandshakeCompletionEvent completion) {
            tlsEnded(context, completion);
        } else {
            super.userEventTriggered(context, event);
        }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        connection.drop(cause);
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext context) {
        connection.read(context.channel().isWritable());
    }

    @Override
    protected void decode(ChannelHandlerContext context, ByteBuf in, List<Object> out) {
        if (skip > 0) {
            int now = (int) Math.min(skip, in.readableBytes());
            in.skipBytes(now);
            skip -= now;
            return;
        }
        switch (state) {
            case Negotiation.AwaitingFlags _ -> {
                if (in.readableBytes() >= Integer.BYTES) {
                    take(context, new Negotiation.ClientFlags(in.readInt()));
                }
            }
            case Negotiation.Haggling _, Negotiation.Leaving _ -> decodeOption(context, in);
            case Negotiation.StartingTls _ -> {
                state = new Negotiation.Closed("bytes in the clear");
                connection.drop("it sent something between STARTTLS and TLS");
            }
            case Negotiation.Transmission _ -> {}
            case Negotiation.Closed _ -> in.skipBytes(in.readableBytes());
        }
    }

    private void decodeOption(ChannelHandlerContext context, ByteBuf in) {
        if (in.readableBytes() < NbdProtocol.OPTION_HEADER_BYTES) {
            return;
        }
        if (context.channel().bytesBeforeWritable() > UNREAD_BYTES_MAX) {
            state = new Negotiation.Closed("unread replies");
            connection.drop("it does not read the replies to its options");
            return;
        }
        int at = in.readerIndex();
        if (in.getLong(at) != NbdProtocol.OPTION_MAGIC) {
            state = new Negotiation.Closed("no option");
            connection.drop("an option begins with 0x%016x".formatted(in.getLong(at)));
            return;
        }
        int code = in.getInt(at + 8);
        long length = in.getUnsignedInt(at + 12);
        if (length > OptionCodec.OPTION_BYTES_MAX) {
            in.skipBytes(NbdProtocol.OPTION_HEADER_BYTES);
            skip = length;
            take(context, new Negotiation.Asked(OptionCodec.tooLong(code, length)));
        } else if (in.readableBytes() >= NbdProtocol.OPTION_HEADER_BYTES + length) {
            in.skipBytes(NbdProtocol.OPTION_HEADER_BYTES);
            ByteBuffer data = in.nioBuffer(in.readerIndex(), (int) length);
            in.skipBytes((int) length);
            take(context, new Negotiation.Asked(OptionCodec.decode(code, data)));
        }
    }

    private void take(ChannelHandlerContext context, Message message) {
        Channel channel = context.channel();
        Step step = negotiation.step(state, message);
        state = step.next();
        ServerTls using = tls;
        if (state instanceof Negotiation.StartingTls && using != null) {
            startTls(context, using, step.replies());
            return;
        }
        send(context, step.replies());
        if (state instanceof Transmission transmission) {
            connection.uses(transmission.export());
            TransmissionHandler next = new TransmissionHandler(connection, channel, transmission);
            if (channel.pipeline().get(SslHandler.class) == null) {
                connection.receiver().use(next);
            } else {
                connection.receiver().useTls();
            }
            context.pipeline().replace(this, null, next);
            connection.read(true);
        } else if (state instanceof Negotiation.Closed) {
            context.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
        }
    }

    private static void send(ChannelHandlerContext context, List<Reply> replies) {
        replies.forEach(reply -> context.write(encode(reply)));
        context.flush();
    }

    /// Makes an engine where files may be read, and only then answers.
    private void startTls(ChannelHandlerContext context, ServerTls using, List<Reply> replies) {
        connection.read(false);
        Thread.startVirtualThread(
                () -> {
                    try {
                        SSLEngine engine = using.credentials().newEngine(null);
                        context.executor().execute(() -> startTls(context, engine, replies));
                    } catch (IOException e) {
                        connection.refuse("TLS cannot begin: " + e.getMessage());
                    } catch (RejectedExecutionException _) {
                        // The server was closed meanwhile, and this connection with it.
                    } catch (RuntimeException e) {
                        connection.drop(e);
                    }
                });
    }

    private void startTls(ChannelHandlerContext context, SSLEngine engine, List<Reply> replies) {
        if (context.isRemoved()) {
            return;
        }
        send(context, replies);
        context.pipeline().addFirst(new TlsHandler(connection, engine));
        connection.read(true);
    }

    private void tlsEnded(ChannelHandlerContext context, SslHandshakeCompletionEvent completion) {
        SslHandler handler = context.pipeline().get(SslHandler.class);
        ServerTls using = tls;
        if (!completion.isSuccess() || handler == null || using == null) {
            // The handler hangs up by itself, once its alert has been sent.
            connection.refused("TLS did not come about: " + TlsFailure.words(completion.cause()));
            return;
        }
        String identity = TlsIdentity.of(handler.engine());
        if (!using.authorization().allows(identity)) {
            connection.refuse("the client '%s' is not authorized".formatted(identity));
            return;
        }
        take(context, new Negotiation.TlsBegun());
    }

    private static ByteBuf encode(Reply reply) {
        return switch (reply) {
            case Negotiation.ToOption(int code, var body) ->
                    Unpooled.wrappedBuffer(OptionReplyCodec.encode(code, body));
            case Negotiation.ToExportName(long size, int flags, boolean padded) -> {
                int padding = padded ? NbdProtocol.EXPORT_NAME_PADDING_BYTES : 0;
                yield Unpooled.buffer(Long.BYTES + Short.BYTES + padding)
                        .writeLong(size)
                        .writeShort(flags)
                        .writeZero(padding);
            }
        };
    }
}
