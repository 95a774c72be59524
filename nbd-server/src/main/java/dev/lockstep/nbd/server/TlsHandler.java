package dev.lockstep.nbd.server;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.handler.ssl.SslHandler;

import javax.net.ssl.SSLEngine;

/// Netty's TLS, with a bound on what TLS itself has to say.
///
/// Replies to requests are bounded by [Allowance]. But in TLS 1.3 a peer may ask for new keys as
/// often as it likes, and each answer waits, in a buffer of a whole record, until that peer reads
/// it.
final class TlsHandler extends SslHandler {
    /// How long a client may take to read the end of its TLS.
    private static final int FAREWELL_MILLIS = 1000;

    /// Records that wait for the kernel, if they are small: 4 MiB of buffers. Replies come in few
    /// small ones or in large ones.
    private static final int SMALL_RECORDS_MAX = 256;

    private static final int SMALL_BYTES = 1 << 10;

    private final Connection connection;

    TlsHandler(Connection connection, SSLEngine engine) {
        super(engine, Thread::startVirtualThread);
        this.connection = connection;
        setHandshakeTimeoutMillis(0); // that of the whole handshake covers it
        setCloseNotifyFlushTimeoutMillis(FAREWELL_MILLIS);
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) throws Exception {
        super.channelReadComplete(context);
        ChannelOutboundBuffer waiting = context.channel().unsafe().outboundBuffer();
        if (waiting != null
                && waiting.size() > SMALL_RECORDS_MAX
                && waiting.totalPendingWriteBytes() / waiting.size() < SMALL_BYTES) {
            connection.drop("it changes its keys and does not read the answers");
        }
    }
}
