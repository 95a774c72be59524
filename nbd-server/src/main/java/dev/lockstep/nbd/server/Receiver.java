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

    /// Reads of such a buffer in one tick: as many as take the time of a turn to decrypt.
    private static final int TLS_READS_PER_TICK = 4;

    private @Nullable Source source;
    private @Nullable ChannelConfig config;
    private int bytes = HANDSHAKE_BYTES;
    private int readsPerTick = 1;
    private int reads;
    private int attempted;
    private int last;

    void use(Source newSource) {
        source = newSource;
    }

    /// Whole records of TLS are read, and decrypted elsewhere.
    void useTls() {
        bytes = TLS_BYTES;
        readsPerTick = TLS_READS_PER_TICK;
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
    public void reset(ChannelConfig newConfig) {
        config = newConfig;
        reads = 0;
        last = 0;
        attempted = 0;
    }

    @Override
    public void incMessagesRead(int messages) {}

    @Override
    public void lastBytesRead(int bytes) {
        last = bytes;
        reads++;
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
        return last > 0 && last == attempted && isWanted();
    }

    private boolean isWanted() {
        Source current = source;
        return current != null
                ? current.wantsMore()
                : reads < readsPerTick && config != null && config.isAutoRead();
    }

    @Override
    public boolean continueReading(UncheckedBooleanSupplier maybeMoreData) {
        return continueReading();
    }

    @Override
    public void readComplete() {}
}
