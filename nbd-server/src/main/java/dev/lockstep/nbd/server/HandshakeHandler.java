package dev.lockstep.nbd.server;

import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Negotiation;
import dev.lockstep.nbd.Negotiation.Message;
import dev.lockstep.nbd.Negotiation.Reply;
import dev.lockstep.nbd.Negotiation.State;
import dev.lockstep.nbd.Negotiation.Step;
import dev.lockstep.nbd.Negotiation.Transmission;
import dev.lockstep.nbd.OptionCodec;
import dev.lockstep.nbd.OptionReplyCodec;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.handler.codec.ByteToMessageDecoder;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// The handshake of one connection: bytes to messages, [Negotiation] for the decisions, replies to
/// bytes. When an export is chosen a [TransmissionHandler] takes its place, and the bytes that are
/// already there.
final class HandshakeHandler extends ByteToMessageDecoder {
    /// Replies that wait for the client to read them; past this it is not listened to.
    private static final int UNREAD_BYTES_MAX = 256 << 10;

    private final Connection connection;
    private final Negotiation negotiation;
    private final Duration deadline;
    private State state;

    /// Data still to be thrown away of an option that is too long.
    private long skip;

    HandshakeHandler(Connection connection, Negotiation negotiation, Duration deadline) {
        this.connection = connection;
        this.negotiation = negotiation;
        this.deadline = deadline;
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
        if (event == ChannelInputShutdownEvent.INSTANCE || event == Connection.Finish.INSTANCE) {
            context.close();
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
        context.channel().config().setAutoRead(context.channel().isWritable());
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
            case Negotiation.Haggling _ -> decodeOption(context, in);
            case Negotiation.Transmission _ -> {}
            case Negotiation.Closed _ -> in.skipBytes(in.readableBytes());
        }
    }

    private void decodeOption(ChannelHandlerContext context, ByteBuf in) {
        if (in.readableBytes() < NbdProtocol.OPTION_HEADER_BYTES) {
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
        step.replies().forEach(reply -> context.write(encode(reply)));
        context.flush();
        if (state instanceof Transmission transmission) {
            connection.uses(transmission.export());
            TransmissionHandler next = new TransmissionHandler(connection, channel, transmission);
            connection.receiver().use(next);
            context.pipeline().replace(this, null, next);
            channel.config().setAutoRead(true);
        } else if (state instanceof Negotiation.Closed) {
            context.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
        } else if (channel.isActive() && channel.bytesBeforeWritable() > UNREAD_BYTES_MAX) {
            connection.drop("it does not read the replies to its options");
        }
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
