package dev.lockstep.nbd.server;

import dev.lockstep.nbd.server.ServerFault.Effect;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundHandlerAdapter;
import io.netty.channel.ChannelPromise;

/// Cuts or corrupts the one reply that passes while it is in the pipeline.
final class SpoiltReply extends ChannelOutboundHandlerAdapter {
    private final Effect effect;
    private int passed;

    private SpoiltReply(Effect effect) {
        this.effect = effect;
    }

    /// Puts a reply to the outbox and sees to it that it arrives as the effect has it. Replies
    /// before it and after it arrive unharmed, but for those after a cut.
    static void send(ChannelHandlerContext context, Outbox outbox, Request request, Effect effect) {
        outbox.flush();
        SpoiltReply spoiler = new SpoiltReply(effect);
        context.pipeline().addBefore(context.name(), null, spoiler);
        request.answer(outbox);
        outbox.flush();
        context.pipeline().remove(spoiler);
        if (effect instanceof ServerFault.Cut) {
            context.close();
        }
    }

    @Override
    public void write(ChannelHandlerContext context, Object message, ChannelPromise promise) {
        context.write(message instanceof ByteBuf bytes ? spoil(bytes) : message, promise);
    }

    private ByteBuf spoil(ByteBuf bytes) {
        int before = passed;
        int length = bytes.readableBytes();
        passed += length;
        switch (effect) {
            case ServerFault.Cut(int end) ->
                    bytes.writerIndex(
                            bytes.readerIndex() + Math.clamp((long) end - before, 0, length));
            case ServerFault.Corrupt(int position) -> {
                int at = position - before;
                if (at >= 0 && at < length) {
                    int index = bytes.readerIndex() + at;
                    bytes.setByte(index, ~bytes.getByte(index));
                }
            }
            case ServerFault.Nothing _, ServerFault.Refuse _, ServerFault.Drop _ -> {}
        }
        return bytes;
    }
}
