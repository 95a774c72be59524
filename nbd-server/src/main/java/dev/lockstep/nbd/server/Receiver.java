package dev.lockstep.nbd.server;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.ChannelConfig;
import io.netty.channel.RecvByteBufAllocator;
import io.netty.util.UncheckedBooleanSupplier;

import org.jspecify.annotations.Nullable;

/// Decides for one connection into which buffer its socket is read, and how often a tick.
@SuppressWarnings("deprecation") // Netty deprecates Handle, but its own ExtendedHandle extends it
final class Receiver implements RecvByteBufAllocator, RecvByteBufAllocator.ExtendedHandle {
    /// Who takes over from the handshake.
    interface Source {
        /// The buffer for the next read, retained for it.
        ByteBuf nextInput();

        /// Whether to read again in this tick after a read that filled its buffer.
        boolean wantsMore();
    }

    /// Enough for the options that clients send in one piece.
    private static final int HANDSHAKE_BYTES = 1 << 10;

    /// Four records of TLS, with room for what their headers take.
    private static final int TLS_BYTES = (64 << 10) + 1024;

    private @Nullable Source source;
    private int bytes = HANDSHAKE_BYTES;
    private int attempted;
    private int last;

    void use(Source newSource) {
        source = newSource;
    }

    /// Whole records of TLS are read, and decrypted elsewhere.
    void useTls() {
        bytes = TLS_BYTES;
    }

    @Override
    public Handle newHandle() {
        return this;
    }

    @Override
    public ByteBuf allocate(ByteBufAllocator allocator) {
        Source current = source;
        return current != null ? current.nextInput() : allocator.ioBuffer(bytes);
    }

    @Override
    public int guess() {
        return bytes;
    }

    @Override
    public void reset(ChannelConfig config) {
        last = 0;
        attempted = 0;
    }

    @Override
    public void incMessagesRead(int messages) {}

    @Override
    public void lastBytesRead(int bytes) {
        last = bytes;
    }

    @Override
    public int lastBytesRead() {
        return last;
    }

    @Override
    public void attemptedBytesRead(int bytes) {
        attempted = bytes;
    }

    @Override
    public int attemptedBytesRead() {
        return attempted;
    }

    @Override
    public boolean continueReading() {
        Source current = source;
        return last > 0 && last == attempted && (current == null || current.wantsMore());
    }

    @Override
    public boolean continueReading(UncheckedBooleanSupplier maybeMoreData) {
        return continueReading();
    }

    @Override
    public void readComplete() {}
}
